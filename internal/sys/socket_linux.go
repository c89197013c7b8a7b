package sys

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func openSocket(domain, kind int) (int, error) {
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, wrap("socket", err)
}

func openVsock(kind int) (int, error) { return openSocket(unix.AF_VSOCK, kind) }

func sockaddr(a Address) (unix.Sockaddr, error) {
	if a.Unix != "" || a.CID == 0 && a.Port == 0 {
		return &unix.SockaddrUnix{Name: a.Unix}, nil
	}
	return &unix.SockaddrVM{CID: a.CID, Port: a.Port}, nil
}

func bindVsockPrivileged(fd int) error {
	for port := uint32(1023); port > 0; port-- {
		err := bind(fd, Address{CID: VsockAny, Port: port})
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return wrap("bind", unix.EADDRINUSE)
}

func setSocketMode(fd int, mode os.FileMode) error {
	return wrap("fchmod", retry(func() error { return unix.Fchmod(fd, uint32(mode.Perm())) }))
}

func passCredentials(fd int) error {
	return wrap("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
}

var credentialSpace = unix.CmsgSpace(unix.SizeofUcred)

func credentialMessage(s Sender) ([]byte, error) {
	return unix.UnixCredentials(&unix.Ucred{Pid: int32(s.PID), Uid: uint32(s.UID), Gid: uint32(s.GID)}), nil
}

func (p *Packet) takeCredentials(m *unix.SocketControlMessage) error {
	if m.Header.Type != unix.SCM_CREDENTIALS {
		return nil
	}
	c, err := unix.ParseUnixCredentials(m)
	if err != nil {
		return err
	}
	p.Sender = Sender{PID: int(c.Pid), UID: int(c.Uid), GID: int(c.Gid)}
	return nil
}

func recvCloexec(fd int, p, oob []byte) (n, oobn, flags int, err error) {
	n, oobn, flags, _, err = unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	return n, oobn, flags, err
}
