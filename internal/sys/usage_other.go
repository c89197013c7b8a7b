//go:build !linux

package sys

func readUsage(int) (Usage, error) { return Usage{}, Unsupported("usage of a process") }
