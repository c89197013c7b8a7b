package sys

import "golang.org/x/sys/unix"

// x/sys does not have MSG_CMSG_CLOEXEC here; close-on-exec is set after the fact.
const (
	sockCloexec    = unix.SOCK_CLOEXEC
	msgNoSignal    = unix.MSG_NOSIGNAL
	msgCmsgCloexec = 0
)
