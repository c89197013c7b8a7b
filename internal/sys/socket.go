package sys

import (
	"os"
	"syscall"
	"time"
)

// Channel is one end of a socket pair (unix, stream, close-on-exec, blocking)
// between a process and one that it started. It carries bytes and descriptors,
// and reports the other end's death as an end of file. A Channel is a bare
// descriptor number because it is used before and after execve, where an
// os.File would bring the runtime's poller along.
type Channel int

// Peer tells who made the pair, as PeerOf does: not who has the other end now. Errors are those of
// PeerOf.
func (c Channel) Peer() (Peer, error) { return peerOf(int(c)) }

// Close closes the descriptor.
func (c Channel) Close() error { return CloseFD(int(c)) }

// Peer is who is at the other end of a connected Unix socket, as the kernel
// recorded it when the connection was made. The numbers are those of our user
// namespace; an id that has none there is the overflow id, 65534.
type Peer struct {
	PID    int   // 0 where the platform does not tell; no proof of identity: it may have ended
	UID    int   // effective user
	GID    int   // effective group
	Groups []int // supplementary groups
}

// PeerOf tells who connected to us, or whom we connected to: SO_PEERCRED and
// SO_PEERGROUPS (unix(7), Linux 4.13), LOCAL_PEERCRED on macOS and FreeBSD.
// Elsewhere the error wraps errors.ErrUnsupported.
func PeerOf(conn syscall.Conn) (p Peer, err error) {
	err = WithFD(conn, func(fd int) error {
		p, err = peerOf(fd)
		return err
	})
	return p, err
}

// Address names a socket: Unix where it is not empty, else a vsock(7) address.
type Address struct {
	Unix      string // a path, or '@' and the name of an abstract socket (unix(7), Linux)
	CID, Port uint32 // vsock: the machine (1 is this one, 2 the host) and the port
}

// VsockAny is the CID that stands for every machine, VMADDR_CID_ANY of vsock(7).
const VsockAny = ^uint32(0)

// MaxFiles is how many descriptors one message may carry (SCM_MAX_FD, unix(7)).
const MaxFiles = 253

// Sender is who sent a message, as the kernel vouches for it (SCM_CREDENTIALS,
// unix(7)), in the receiver's pid and user namespace. PID 0 means that the kernel
// does not say: no SO_PASSCRED, a sender in a pid namespace that is not below
// ours, or a platform other than Linux. Such a sender is nobody; it is not root.
type Sender struct{ PID, UID, GID int }

// Packet is a received message.
type Packet struct {
	N      int // bytes of the message, at the start of the caller's buffer
	Sender Sender
	Files  []int // descriptors that came along, close-on-exec; the receiver closes them
	// Cut says that the buffer was too short and the rest of the message is gone.
	Cut bool
	// FilesLost says that descriptors were sent and could not all be delivered,
	// most often because this process has no number left for them
	// (RLIMIT_NOFILE).
	FilesLost bool
}

// SocketKind is what a descriptor is.
type SocketKind struct {
	Socket    bool // a socket; the fields below say which
	Type      int  // syscall.SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
	Listening bool // listen(2) was called
	// type bits of the file: os.ModeSocket, os.ModeNamedPipe, os.ModeDevice, …
	Mode os.FileMode
}

// InetAddr is the address of an IPv4 or IPv6 socket. Package net/netip is not imported for it: Go
// initialises that one late (it needs unique and weak), all that is ready before then is
// initialised first, and so every stage of package spawn would have to wait for half of the
// program.
type InetAddr struct {
	IP   []byte // 4 or 16
	Zone uint32 // number of an interface, of IPv6 only; 0: none
	Port uint16
}

// KeepAlive is when a TCP connection that says nothing is asked whether it still is, tcp(7).
type KeepAlive struct {
	Idle, Interval time.Duration
	Count          int
}
