//go:build !linux

package sys

func lowerThread() error { return Unsupported("thread priority") }
