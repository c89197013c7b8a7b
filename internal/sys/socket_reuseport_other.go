//go:build !unix || solaris

package sys

func setReusePort(int) error { return Unsupported("SO_REUSEPORT") }
