//go:build unix && !linux

package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func openSocket(domain, kind int) (int, error) {
	// Not every system has SOCK_CLOEXEC; ForkLock keeps another goroutine's fork
	// away until the descriptor is marked.
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(domain, kind, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, wrap("socket", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, wrap("fcntl", err)
	}
	return fd, nil
}

func openVsock(int) (int, error) { return -1, Unsupported("vsock socket") }

func bindVsockPrivileged(int) error { return Unsupported("vsock bind") }

func sockaddr(a Address) (unix.Sockaddr, error) {
	if a.Unix == "" || a.Unix[0] == '@' {
		return nil, unix.EAFNOSUPPORT // neither abstract names nor vsock here
	}
	return &unix.SockaddrUnix{Name: a.Unix}, nil
}

func setSocketMode(int, os.FileMode) error { return Unsupported("fchmod of a socket") }

func passCredentials(int) error { return nil }

const credentialSpace = 0

func credentialMessage(Sender) ([]byte, error) { return nil, Unsupported("SCM_CREDENTIALS") }

func (p *Packet) takeCredentials(*unix.SocketControlMessage) error { return nil }

func recvCloexec(fd int, p, oob []byte) (n, oobn, flags int, err error) {
	// MSG_CMSG_CLOEXEC is missing on darwin and illumos: as in openSocket. The
	// call does not wait, so the lock is held only for a moment.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, oobn, flags, _, err = unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT)
	if oobn > 0 {
		var got Packet
		if got.takeControl(oob[:oobn]) == nil { // recvMsg reports the error
			for _, f := range got.Files {
				unix.CloseOnExec(f)
			}
		}
	}
	return n, oobn, flags, err
}
