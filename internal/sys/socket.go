package sys

import "os"

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

// OpenUnixDatagram makes an unbound unix datagram socket, close-on-exec and
// non-blocking.
func OpenUnixDatagram() (int, error) { return openUnixDatagram() }

// OpenVsock makes an unbound vsock socket of the given kind (syscall.SOCK_DGRAM,
// SOCK_SEQPACKET or SOCK_STREAM), close-on-exec and non-blocking. Linux only.
func OpenVsock(kind int) (int, error) { return openVsock(kind) }

// Bind gives the socket its address. On Linux the empty Address makes the kernel
// choose an unused abstract name (unix(7), "Autobind feature").
func Bind(fd int, a Address) error { return bind(fd, a) }

// BindVsockPrivileged gives a vsock socket the highest free local port below
// 1024, which proves to the other side that an administrator sends.
func BindVsockPrivileged(fd int) error { return bindVsockPrivileged(fd) }

// Connect connects the socket; EINPROGRESS means that SocketConnected tells the
// end of it.
func Connect(fd int, a Address) error { return connect(fd, a) }

// SocketConnected says whether a connection that is being made is there (true),
// still on its way (false, nil) or has failed.
func SocketConnected(fd int) (bool, error) { return socketConnected(fd) }

// SocketName returns the name of a bound unix socket in the form of Address.Unix.
func SocketName(fd int) (string, error) { return socketName(fd) }

// PassCredentials asks the kernel to say of every message who sent it
// (SO_PASSCRED). Elsewhere than on Linux it does nothing and Sender.PID stays 0.
func PassCredentials(fd int) error { return passCredentials(fd) }

// ShutdownWrite ends the sending half of a connection.
func ShutdownWrite(fd int) error { return shutdownWrite(fd) }

// SendMsg sends p and files in one message over a connected socket, never waits
// (EAGAIN) and never raises SIGPIPE. If as is not nil it is the sender that the
// receiver sees, in place of our pid and real ids, which the kernel permits with
// our own pid and any of our real, effective and saved ids, and else to who may
// (CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID; unix(7)). More than MaxFiles is E2BIG.
func SendMsg(fd int, p []byte, files []int, as *Sender) (int, error) {
	return sendMsg(fd, p, files, as)
}

// RecvMsg receives one message into p and never waits (EAGAIN). Whatever it
// returns, no descriptor that came with the message is left open unless it is in
// Packet.Files.
func RecvMsg(fd int, p []byte) (Packet, error) { return recvMsg(fd, p) }

// SetSocketMode sets the permission that bind(2) will give to a unix socket's
// name, less the umask, so that the name never has more (unix_bind_bsd). Linux
// only.
func SetSocketMode(fd int, mode os.FileMode) error { return setSocketMode(fd, mode) }

// SocketKind is what a descriptor is.
type SocketKind struct {
	Socket    bool        // a socket; the fields below say which
	Type      int         // syscall.SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
	Listening bool        // listen(2) was called
	Mode      os.FileMode // type bits of the file: os.ModeSocket, os.ModeNamedPipe, os.ModeDevice, …
}

// KindOf says what the descriptor is; EBADF if it is not open.
func KindOf(fd int) (SocketKind, error) { return kindOf(fd) }
