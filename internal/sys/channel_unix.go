//go:build unix && !aix

package sys

import (
	"io"

	"golang.org/x/sys/unix"
)

// NewChannel makes a pair of connected channels.
func NewChannel() (a, b Channel, err error) {
	fds, err := socketPair()
	if err != nil {
		return -1, -1, wrap("socketpair", err)
	}
	return Channel(fds[0]), Channel(fds[1]), nil
}

// Send writes all of p; files, which may be none and at most 253 (SCM_MAX_FD),
// travel with its first byte as SCM_RIGHTS (unix(7)). The dead other end is EPIPE, never SIGPIPE.
func (c Channel) Send(p []byte, files ...int) error {
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	for len(p) > 0 {
		n, err := retry1(func() (int, error) {
			return unix.SendmsgN(int(c), p, rights, nil, unix.MSG_NOSIGNAL)
		})
		if err != nil {
			return wrap("sendmsg", err)
		}
		p, rights = p[n:], nil
	}
	return nil
}

// Recv reads up to len(p) bytes and the descriptors that came with them, all
// close-on-exec. The end of the stream is io.EOF.
func (c Channel) Recv(p []byte) (n int, files []int, err error) {
	oob := make([]byte, unix.CmsgSpace(253*4))
	var oobn, flags int
	err = retry(func() (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(int(c), p, oob, cmsgCloexec)
		return err
	})
	if err != nil {
		return 0, nil, wrap("recvmsg", err)
	}
	files, err = receivedFiles(oob[:oobn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = wrap("recvmsg", unix.EMFILE) // there was room for all, but no number (unix(7))
	}
	if err != nil {
		return n, files, err
	}
	if n == 0 && len(p) > 0 {
		return 0, files, io.EOF
	}
	return n, files, nil
}

// receivedFiles are the descriptors in a control message, close-on-exec.
func receivedFiles(oob []byte) ([]int, error) {
	var p Packet
	err := p.takeControl(oob)
	for _, fd := range p.Files {
		unix.CloseOnExec(fd)
	}
	return p.Files, wrap("recvmsg", err)
}

// Peek copies the bytes that have arrived, without waiting and without taking them.
func (c Channel) Peek(p []byte) (int, error) {
	n, err := retry1(func() (int, error) {
		n, _, err := unix.Recvfrom(int(c), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
	return n, wrap("recvfrom", err)
}

// Unnamed says whether c is a unix stream socket without an address: one end of
// a socketpair(2), which only an ancestor can have made. What somebody connected to a listening
// socket (inetd, systemd's Accept=yes) has the listener's address.
func (c Channel) Unnamed() bool {
	kind, err := unix.GetsockoptInt(int(c), unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return false
	}
	addr, err := unix.Getsockname(int(c))
	if err != nil {
		return false
	}
	// x/sys shows an address without a path as "" or, on Linux, as the empty abstract name.
	local, ok := addr.(*unix.SockaddrUnix)
	return ok && (local.Name == "" || local.Name == "@")
}

// CloseFD closes a descriptor. EINTR is not retried: the descriptor is gone on
// Linux and may already be another's (close(2), "Dealing with error returns from close()").
func CloseFD(fd int) error { return wrap("close", unix.Close(fd)) }
