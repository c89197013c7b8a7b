//go:build !linux

package sys

func sameDescription(int, int) (bool, error) { return false, Unsupported("kcmp") }
