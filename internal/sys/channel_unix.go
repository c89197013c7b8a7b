//go:build unix

package sys

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

func newChannel() (Channel, Channel, error) {
	// Holding ForkLock keeps another goroutine's fork away from the moment
	// between socketpair and close-on-exec where there is no SOCK_CLOEXEC (darwin).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|sockCloexec, 0)
	if err != nil {
		return -1, -1, wrap("socketpair", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return Channel(fds[0]), Channel(fds[1]), nil
}

func (c Channel) send(p []byte, files []int) error {
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	for len(p) > 0 {
		n, err := retry1(func() (int, error) {
			return unix.SendmsgN(int(c), p, rights, nil, msgNoSignal)
		})
		if err != nil {
			return wrap("sendmsg", err)
		}
		p, rights = p[n:], nil
	}
	return nil
}

func (c Channel) recv(p []byte) (int, []int, error) {
	oob := make([]byte, unix.CmsgSpace(253*4))
	var n, oobn, flags int
	err := retry(func() (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(int(c), p, oob, msgCmsgCloexec)
		return err
	})
	if err != nil {
		return 0, nil, wrap("recvmsg", err)
	}
	files, err := receivedFiles(oob[:oobn])
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

func receivedFiles(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, wrap("recvmsg", err)
	}
	var files []int
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, wrap("recvmsg", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
		files = append(files, fds...)
	}
	return files, nil
}

func (c Channel) peek(p []byte) (int, error) {
	n, err := retry1(func() (int, error) {
		n, _, err := unix.Recvfrom(int(c), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
	return n, wrap("recvfrom", err)
}

func (c Channel) unnamed() bool {
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

func closeFD(fd int) error { return wrap("close", unix.Close(fd)) }
