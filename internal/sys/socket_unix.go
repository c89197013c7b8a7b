//go:build unix

package sys

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func openUnixDatagram() (int, error) { return openSocket(unix.AF_UNIX, unix.SOCK_DGRAM) }

func bind(fd int, a Address) error {
	sa, err := sockaddr(a)
	if err != nil {
		return wrap("bind", err)
	}
	return wrap("bind", retry(func() error { return unix.Bind(fd, sa) }))
}

func connect(fd int, a Address) error {
	sa, err := sockaddr(a)
	if err != nil {
		return wrap("connect", err)
	}
	return wrap("connect", retry(func() error { return unix.Connect(fd, sa) }))
}

func socketConnected(fd int) (bool, error) {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return false, wrap("getsockopt", err)
	}
	if errno != 0 {
		return false, wrap("connect", syscall.Errno(errno))
	}
	// Readiness alone does not tell: a socket that never was connected reports
	// POLLOUT too. A connected one has a peer.
	if _, err := unix.Getpeername(fd); errors.Is(err, unix.ENOTCONN) {
		return false, nil
	} else if err != nil {
		return false, wrap("getpeername", err)
	}
	return true, nil
}

func socketName(fd int) (string, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", wrap("getsockname", err)
	}
	u, ok := sa.(*unix.SockaddrUnix)
	if !ok {
		return "", wrap("getsockname", unix.EAFNOSUPPORT)
	}
	return u.Name, nil
}

func shutdownWrite(fd int) error {
	return wrap("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

func sendMsg(fd int, p []byte, files []int, as *Sender) (int, error) {
	if len(files) > MaxFiles {
		return 0, wrap("sendmsg", unix.E2BIG) // the kernel would say EINVAL
	}
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	if as != nil {
		cred, err := credentialMessage(*as)
		if err != nil {
			return 0, err
		}
		oob = append(oob, cred...)
	}
	n, err := retry1(func() (int, error) {
		return unix.SendmsgN(fd, p, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	})
	return n, wrap("sendmsg", err)
}

func recvMsg(fd int, p []byte) (Packet, error) {
	oob := make([]byte, unix.CmsgSpace(MaxFiles*4)+credentialSpace)
	var n, oobn, flags int
	err := retry(func() (err error) {
		n, oobn, flags, err = recvCloexec(fd, p, oob)
		return err
	})
	pkt := Packet{N: n, Cut: flags&unix.MSG_TRUNC != 0, FilesLost: flags&unix.MSG_CTRUNC != 0}
	if err == nil || oobn > 0 { // x/sys reports an odd sender address after it has received the message
		err = errors.Join(err, pkt.takeControl(oob[:oobn]))
	}
	if err != nil {
		pkt.CloseFiles()
		return Packet{}, wrap("recvmsg", err)
	}
	return pkt, nil
}

// takeControl reads the descriptors and credentials that came with a message.
func (p *Packet) takeControl(oob []byte) error {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		if m.Header.Type == unix.SCM_RIGHTS {
			fds, err := unix.ParseUnixRights(&m)
			if err != nil {
				return err
			}
			p.Files = append(p.Files, fds...)
			continue
		}
		if err := p.takeCredentials(&m); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(fd int) (SocketKind, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return SocketKind{}, wrap("fstat", err)
	}
	k := SocketKind{Mode: fileType(uint32(st.Mode))}
	if k.Mode != os.ModeSocket {
		return k, nil
	}
	k.Socket = true
	var err error
	if k.Type, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return k, wrap("getsockopt", err)
	}
	accepting, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if errors.Is(err, unix.ENOPROTOOPT) { // darwin and some BSDs have no such question for a datagram socket
		return k, nil
	}
	k.Listening = accepting != 0
	return k, wrap("getsockopt", err)
}

func fileType(mode uint32) os.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return os.ModeSocket
	case unix.S_IFIFO:
		return os.ModeNamedPipe
	case unix.S_IFCHR:
		return os.ModeDevice | os.ModeCharDevice
	case unix.S_IFBLK:
		return os.ModeDevice
	case unix.S_IFDIR:
		return os.ModeDir
	case unix.S_IFREG:
		return 0
	}
	return os.ModeIrregular // a pidfd, an epoll or another anonymous inode
}
