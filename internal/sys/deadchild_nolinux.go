//go:build !linux

package sys

func deadChild() (int, error) { return 0, Unsupported("waitid") }
