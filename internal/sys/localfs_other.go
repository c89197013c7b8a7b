//go:build !linux

package sys

func localFS(string) (bool, error) { return false, Unsupported("statfs") }
