//go:build !linux

package sys

func forbidCall(uint32) error { return Unsupported("seccomp") }
