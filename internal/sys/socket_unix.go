//go:build unix && !aix

package sys

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Error numbers that WASI has not.
const ESOCKTNOSUPPORT, ETOOMANYREFS = unix.ESOCKTNOSUPPORT, unix.ETOOMANYREFS

// BindInet gives an IPv4 or IPv6 socket its address.
func BindInet(fd int, addr InetAddr) error {
	sa, err := addr.sockaddr()
	if err == nil {
		err = retry(func() error { return unix.Bind(fd, sa) })
	}
	return wrap("bind", err)
}

func (a InetAddr) sockaddr() (unix.Sockaddr, error) {
	switch len(a.IP) {
	case 4:
		return &unix.SockaddrInet4{Port: int(a.Port), Addr: [4]byte(a.IP)}, nil
	case 16:
		return &unix.SockaddrInet6{Port: int(a.Port), ZoneId: a.Zone, Addr: [16]byte(a.IP)}, nil
	}
	return nil, unix.EAFNOSUPPORT
}

// LocalInet returns the address of a bound IPv4 or IPv6 socket; EAFNOSUPPORT if it
// is of another family.
func LocalInet(fd int) (InetAddr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return InetAddr{}, wrap("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return InetAddr{IP: sa.Addr[:], Port: uint16(sa.Port)}, nil
	case *unix.SockaddrInet6:
		return InetAddr{IP: sa.Addr[:], Zone: sa.ZoneId, Port: uint16(sa.Port)}, nil
	}
	return InetAddr{}, wrap("getsockname", unix.EAFNOSUPPORT)
}

// Listen makes a socket take connections, up to backlog of them before they are
// accepted (less where net.core.somaxconn is smaller). It may be called again
// with another backlog.
func Listen(fd, backlog int) error { return wrap("listen", unix.Listen(fd, backlog)) }

// SetReuseAddr lets a listener have an address of which old connections still end
// (SO_REUSEADDR, socket(7)). For datagram sockets it means another thing: that
// others may have the same address too.
func SetReuseAddr(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	return wrap("setsockopt(SO_REUSEADDR)", err)
}

// SetV6Only says whether an IPv6 socket leaves IPv4 to others (IPV6_V6ONLY,
// ipv6(7)).
func SetV6Only(fd int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, value)
	return wrap("setsockopt(IPV6_V6ONLY)", err)
}

// Readable says whether one of the descriptors can be read from, or accepted from,
// without waiting.
func Readable(fds ...int) (bool, error) {
	list := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		list[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	n, err := retry1(func() (int, error) { return unix.Poll(list, 0) })
	if err != nil {
		return false, wrap("poll", err)
	}
	for _, p := range list {
		if p.Revents&unix.POLLNVAL != 0 {
			return false, wrap("poll", unix.EBADF)
		}
	}
	return n > 0, nil
}

// SetReusePort lets several sockets of one user have the same address
// (SO_REUSEPORT, Linux 3.9).
func SetReusePort(fd int) error {
	if reusePort == 0 {
		return Unsupported("SO_REUSEPORT")
	}
	return wrap("setsockopt(SO_REUSEPORT)", unix.SetsockoptInt(fd, unix.SOL_SOCKET, reusePort, 1))
}

// OpenUnixDatagram makes an unbound unix datagram socket, close-on-exec and
// non-blocking.
func OpenUnixDatagram() (int, error) { return OpenSocket(unix.AF_UNIX, unix.SOCK_DGRAM) }

// Bind gives the socket its address. On Linux the empty Address makes the kernel
// choose an unused abstract name (unix(7), "Autobind feature").
func Bind(fd int, a Address) error {
	sa, err := sockaddr(a)
	if err == nil {
		err = retry(func() error { return unix.Bind(fd, sa) })
	}
	return wrap("bind", err)
}

// Connect connects the socket; EINPROGRESS means that SocketConnected tells the
// end of it.
func Connect(fd int, a Address) error {
	sa, err := sockaddr(a)
	if err == nil {
		err = retry(func() error { return unix.Connect(fd, sa) })
	}
	return wrap("connect", err)
}

// SocketConnected says whether a connection that is being made is there (true),
// still on its way (false, nil) or has failed.
func SocketConnected(fd int) (bool, error) {
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

// SocketName returns the name of a bound unix socket in the form of Address.Unix.
func SocketName(fd int) (string, error) {
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

// ShutdownWrite ends the sending half of a connection.
func ShutdownWrite(fd int) error {
	return wrap("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

// SendMsg sends p and files in one message over a connected socket, never waits
// (EAGAIN) and never raises SIGPIPE. If as is not nil it is the sender that the
// receiver sees, in place of our pid and real ids, which the kernel permits with
// our own pid and any of our real, effective and saved ids, and else to who may
// (CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID; unix(7)). More than MaxFiles is E2BIG.
func SendMsg(fd int, p []byte, files []int, as *Sender) (int, error) {
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

// RecvMsg receives one message into p and never waits (EAGAIN). Whatever it
// returns, no descriptor that came with the message is left open unless it is in
// Packet.Files.
func RecvMsg(fd int, p []byte) (Packet, error) {
	oob := make([]byte, unix.CmsgSpace(MaxFiles*4)+credentialSpace)
	var n, oobn, flags int
	err := retry(func() (err error) {
		n, oobn, flags, err = recvCloexec(fd, p, oob)
		return err
	})
	pkt := Packet{N: n, Cut: flags&unix.MSG_TRUNC != 0, FilesLost: flags&unix.MSG_CTRUNC != 0}
	if err == nil || oobn > 0 { // x/sys reports an odd sender after it has received the message
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

// CloseFiles closes the descriptors that came with the message, which are then no
// longer in it.
func (p *Packet) CloseFiles() {
	for _, fd := range p.Files {
		CloseFD(fd) // nothing to be done about an error: the number is free in any case (close(2))
	}
	p.Files = nil
}

// KindOf says what the descriptor is; EBADF if it is not open.
func KindOf(fd int) (SocketKind, error) {
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
	if errors.Is(err, unix.ENOPROTOOPT) { // darwin and some BSDs do not ask a datagram socket that
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
