package sys

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CloseRead ends the receiving half of c: what has arrived is still received, and then io.EOF,
// whoever holds the other end open. Only Linux keeps what has arrived (shutdown(2), SHUT_RD);
// elsewhere nothing is done and the error wraps errors.ErrUnsupported.
func (c Channel) CloseRead() error {
	return wrap("shutdown", unix.Shutdown(int(c), unix.SHUT_RD))
}

// Unread says whether something that was sent on c has not been received at the other end yet. Only
// Linux; elsewhere the error wraps errors.ErrUnsupported.
func (c Channel) Unread() (bool, error) {
	n, err := retry1(func() (int, error) { return unix.IoctlGetInt(int(c), unix.SIOCOUTQ) })
	return n > 0, wrap("ioctl(SIOCOUTQ)", err)
}

// PeekFile is Peek that also returns a copy, close-on-exec, of the first descriptor that came with
// the first of these bytes; -1 if none came. Only Linux; elsewhere the bytes are returned with an
// error that wraps errors.ErrUnsupported, for there a look would take descriptors or return what
// are none (BSD's soreceive).
func (c Channel) PeekFile(p []byte) (n, fd int, err error) {
	const look = unix.MSG_PEEK | unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC
	// Without room for them no descriptor is installed, and MSG_CTRUNC says that there is one, or
	// credentials (scm_recv in the kernel's net/core/scm.h).
	var oobn, flags int
	var oob []byte
	recv := func() (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(int(c), p, oob, look)
		return err
	}
	if err := retry(recv); err != nil || flags&unix.MSG_CTRUNC == 0 {
		return n, -1, wrap("recvmsg", err)
	}
	oob = make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4))
	if err := retry(recv); err != nil {
		return 0, -1, wrap("recvmsg", err)
	}
	files, err := receivedFiles(oob[:oobn])
	if err != nil || len(files) == 0 {
		if err == nil && flags&unix.MSG_CTRUNC != 0 {
			err = wrap("recvmsg", unix.EMFILE) // there was room for one, but no number
		}
		return n, -1, err
	}
	for _, fd := range files[1:] {
		CloseFD(fd)
	}
	return n, files[0], nil
}

// KeepAliveOf returns what a TCP socket has, and what the connections that it accepts begin with:
// its own or the system's (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT). Only Linux; elsewhere the
// error wraps errors.ErrUnsupported.
func KeepAliveOf(fd int) (k KeepAlive, err error) {
	var seconds [2]int
	for option, to := range map[int]*int{
		unix.TCP_KEEPIDLE: &seconds[0], unix.TCP_KEEPINTVL: &seconds[1], unix.TCP_KEEPCNT: &k.Count,
	} {
		if *to, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option); err != nil {
			return KeepAlive{}, wrap("getsockopt", err)
		}
	}
	k.Idle = time.Duration(seconds[0]) * time.Second
	k.Interval = time.Duration(seconds[1]) * time.Second
	return k, nil
}

func peerOf(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, wrap("getsockopt", err)
	}
	if c.Uid == ^uint32(0) {
		// What the kernel says of a socket without a peer.
		return Peer{}, wrap("getsockopt", unix.ENOTCONN)
	}
	p := Peer{PID: int(c.Pid), UID: int(c.Uid), GID: int(c.Gid)}
	p.Groups, err = peerGroups(fd)
	return p, err
}

// peerGroups asks for room first: ERANGE carries the size that is needed.
func peerGroups(fd int) ([]int, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT,
			uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size) > len(groups)*4:
			groups = make([]uint32, size/4)
			continue
		case errors.Is(errno, unix.ENOPROTOOPT): // before Linux 4.13
			return nil, nil
		case errno != 0:
			return nil, wrap("getsockopt", errno)
		}
		return Credential{Groups: groups[:size/4]}.groups(), nil
	}
}

// OpenSocket makes a socket of a domain (syscall.AF_INET, AF_INET6, AF_UNIX) and
// kind (syscall.SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET), close-on-exec and
// non-blocking.
func OpenSocket(domain, kind int) (int, error) {
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, wrap("socket", err)
}

// OpenVsock makes an unbound vsock socket of the given kind (syscall.SOCK_DGRAM,
// SOCK_SEQPACKET or SOCK_STREAM), close-on-exec and non-blocking. Linux only.
func OpenVsock(kind int) (int, error) { return OpenSocket(unix.AF_VSOCK, kind) }

func sockaddr(a Address) (unix.Sockaddr, error) {
	if a.Unix != "" || a.CID == 0 && a.Port == 0 {
		return &unix.SockaddrUnix{Name: a.Unix}, nil
	}
	return &unix.SockaddrVM{CID: a.CID, Port: a.Port}, nil
}

// BindVsockPrivileged gives a vsock socket the highest free local port below
// 1024, which proves to the other side that an administrator sends.
func BindVsockPrivileged(fd int) error {
	for port := uint32(1023); port > 0; port-- {
		err := Bind(fd, Address{CID: VsockAny, Port: port})
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return wrap("bind", unix.EADDRINUSE)
}

// SetSocketMode sets the permission that bind(2) will give to a unix socket's
// name, less the umask, so that the name never has more (unix_bind_bsd). Linux
// only.
func SetSocketMode(fd int, mode os.FileMode) error {
	return wrap("fchmod", retry(func() error { return unix.Fchmod(fd, uint32(mode.Perm())) }))
}

// PassCredentials asks the kernel to say of every message who sent it
// (SO_PASSCRED). Elsewhere than on Linux it does nothing and Sender.PID stays 0.
func PassCredentials(fd int) error {
	return wrap("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
}

var credentialSpace = unix.CmsgSpace(unix.SizeofUcred)

func credentialMessage(s Sender) ([]byte, error) {
	c := unix.Ucred{Pid: int32(s.PID), Uid: uint32(s.UID), Gid: uint32(s.GID)}
	return unix.UnixCredentials(&c), nil
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

const (
	cmsgCloexec    = unix.MSG_CMSG_CLOEXEC
	reusePort      = unix.SO_REUSEPORT
	clockMonotonic = unix.CLOCK_MONOTONIC
)

func socketPair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}
