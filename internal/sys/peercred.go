package sys

import "syscall"

// Peer is who is at the other end of a connected Unix socket, as the kernel
// recorded it when the connection was made. The numbers are those of our user
// namespace; an id that has none there is the overflow id, 65534.
type Peer struct {
	PID    int   // 0 where the platform does not tell; never a proof of identity: the process may have ended
	UID    int   // effective user
	GID    int   // effective group
	Groups []int // supplementary groups
}

// PeerOf tells who connected to us, or whom we connected to: SO_PEERCRED and
// SO_PEERGROUPS (unix(7), Linux 4.13), LOCAL_PEERCRED on macOS and FreeBSD.
// Elsewhere the error wraps errors.ErrUnsupported.
func PeerOf(conn syscall.Conn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var inner error
	if err := raw.Control(func(fd uintptr) { p, inner = peerOf(int(fd)) }); err != nil {
		return Peer{}, err
	}
	return p, inner
}
