//go:build unix && !darwin && !aix && !solaris

package sys

import "golang.org/x/sys/unix"

const (
	sockCloexec    = unix.SOCK_CLOEXEC
	msgNoSignal    = unix.MSG_NOSIGNAL
	msgCmsgCloexec = unix.MSG_CMSG_CLOEXEC
)
