//go:build !unix

package sys

func newSession() error { return Unsupported("setsid") }
