//go:build !unix

package sys

func terminalSize(int) (columns, rows int, err error) { return 0, 0, Unsupported("ioctl") }
