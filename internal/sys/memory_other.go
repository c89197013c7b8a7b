//go:build !linux

package sys

func residentMemory(int) (int64, error) { return 0, Unsupported("memory of a process") }
