package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/daemonry/daemonry/internal/sys"
)

// Names that nobody chose, see Socket.Name.
const (
	Unknown    = "unknown"    // the manager gives no names
	Stored     = "stored"     // kept for us, see notify.Client.StoreFDs
	Connection = "connection" // one accepted connection (Accept=yes of systemd.socket(5))
)

// Kind is what a descriptor turned out to be.
type Kind uint8

const (
	Other     Kind = iota // anything else: a file, a device, a terminal, a pidfd
	Stream                // listening for connections: TCP, unix, vsock
	SeqPacket             // listening for connections that keep the bounds of messages
	Datagram              // UDP, unix datagrams, raw and netlink sockets
	Connected             // a stream or packet socket that does not listen: most often a connection
	FIFO                  // a named pipe or a pipe
	lastKind  = FIFO
)

func (k Kind) String() string {
	switch k {
	case Stream:
		return "stream listener"
	case SeqPacket:
		return "seqpacket listener"
	case Datagram:
		return "datagram socket"
	case Connected:
		return "connection"
	case FIFO:
		return "fifo"
	}
	return "file"
}

func kindOf(k sys.SocketKind) Kind {
	switch {
	case k.Mode == os.ModeNamedPipe:
		return FIFO
	case !k.Socket:
		return Other
	case k.Type == sys.SOCK_STREAM && k.Listening:
		return Stream
	case k.Type == sys.SOCK_SEQPACKET && k.Listening:
		return SeqPacket
	case k.Type == sys.SOCK_STREAM, k.Type == sys.SOCK_SEQPACKET:
		return Connected
	}
	return Datagram
}

// ErrTaken says that the descriptor has been given away or closed before.
var ErrTaken = errors.New("already taken")

// Socket is one descriptor handed to us. Listener, PacketConn and File each give
// it away; one of them can, once.
type Socket struct {
	// Name is what the manager calls it: FileDescriptorName= of
	// systemd.socket(5), else the name of the socket unit with its ".socket",
	// else one of the constants above. Several may have the same.
	Name string
	Kind Kind

	fd   int      // as handed over, for messages
	file *os.File // nil: taken
}

// Listener gives the socket away for accepting connections. Closing it leaves a
// unix socket's name in the file system: it belongs to the manager.
func (s *Socket) Listener() (net.Listener, error) {
	return take(s, net.FileListener, Stream, SeqPacket)
}

// ListenerWith is Listener, and what it accepts has the keep-alive of lc. All else of lc belongs to
// the socket, and was set, or not, by whoever opened it: options, Multipath TCP. See
// Address.ListenWith.
func (s *Socket) ListenerWith(lc net.ListenConfig) (net.Listener, error) {
	l, err := s.Listener()
	if err != nil {
		return nil, err
	}
	keep, err := keepAliveOf(lc).asIn(l)
	if err != nil {
		return nil, errors.Join(s.wrap(err), l.Close())
	}
	return keep.of(l), nil
}

// PacketConn gives the socket away for exchanging datagrams.
func (s *Socket) PacketConn() (net.PacketConn, error) {
	return take(s, net.FilePacketConn, Datagram)
}

// Conn gives the socket away that is a connection (Accept=yes).
func (s *Socket) Conn() (net.Conn, error) { return take(s, net.FileConn, Connected) }

// File gives the descriptor away as it is, of any Kind.
func (s *Socket) File() (*os.File, error) {
	f := s.file
	if f == nil {
		return nil, s.wrap(ErrTaken)
	}
	s.file = nil
	return f, nil
}

// take turns the descriptor into what package net makes of it, if it is of one of
// the kinds; if not, it is not given away.
func take[T socket](s *Socket, convert func(*os.File) (T, error), kinds ...Kind) (T, error) {
	var none T
	if s.file == nil {
		return none, s.wrap(ErrTaken)
	}
	if !slices.Contains(kinds, s.Kind) {
		return none, s.wrap(fmt.Errorf("a %v, not a %v", s.Kind, kinds[0]))
	}
	v, err := convert(s.file) // with a copy of the descriptor
	if err != nil {
		return none, s.wrap(err)
	}
	if err := s.close(); err != nil {
		return none, errors.Join(s.wrap(err), v.Close())
	}
	return v, nil
}

func (s *Socket) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

func (s *Socket) wrap(err error) error {
	return fmt.Errorf("descriptor %d (%s): %w", s.fd, s.Name, err)
}
