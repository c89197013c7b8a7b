//go:build !linux

package sys

func unmapped(int, string, string) bool { return false }
