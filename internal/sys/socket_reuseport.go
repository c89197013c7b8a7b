//go:build unix && !solaris

package sys

import "golang.org/x/sys/unix"

func setReusePort(fd int) error {
	return wrap("setsockopt(SO_REUSEPORT)", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
