package sys

import "golang.org/x/sys/unix"

func (c Channel) closeRead() error {
	return wrap("shutdown", unix.Shutdown(int(c), unix.SHUT_RD))
}
