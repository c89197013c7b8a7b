package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/listen"
)

// socket is a descriptor that successors get.
type socket struct {
	socketNote
	conn  syscall.Conn
	owned bool // opened by this program or one before it, and not by a manager
}

// Listen returns the listening socket of that name: the one that a predecessor opened under the
// name for the same network and address, the one that a manager handed over, whatever its address,
// or else a new one. Network and address are as in listen.Address. A listener that was closed is
// not handed to successors; its name can be used again.
func (u *Upgrader) Listen(name, network, address string) (net.Listener, error) {
	return u.ListenWith(context.Background(), net.ListenConfig{}, name, network, address)
}

// ListenWith is Listen with what lc says. What lc.Control sets, and Multipath TCP, are the socket's
// and stay its own over all upgrades: Control is called only where a new socket is opened.
// KeepAlive and KeepAliveConfig are those of each connection, and hold in each process as its own
// lc has them (see listen.Address.ListenWith).
func (u *Upgrader) ListenWith(
	ctx context.Context, lc net.ListenConfig, name, network, address string,
) (net.Listener, error) {
	return openAs(u, socketNote{name, network, []byte(address)},
		func(a listen.Address) (net.Listener, error) { return a.ListenWith(ctx, lc) },
		func(s *listen.Socket) (net.Listener, error) { return s.ListenerWith(lc) })
}

// ListenFunc is Listen, and where there is no socket, open makes the new one: it is called with
// network and address, which may be anything, and must not use the Upgrader. What it returns must
// have a descriptor (syscall.Conn), as the listeners of package net have. A successor gets the
// descriptor as a listener of package net and does not call open: what is wrapped around it, such
// as TLS, is to be wrapped around what ListenFunc returns.
func (u *Upgrader) ListenFunc(
	name, network, address string, open func(network, address string) (net.Listener, error),
) (net.Listener, error) {
	return openAs(u, socketNote{name, network, []byte(address)},
		func(listen.Address) (net.Listener, error) { return open(network, address) },
		(*listen.Socket).Listener)
}

// ListenPacket is Listen for datagrams. Both processes read from the socket while the old one
// finishes: a program that must answer the same peer from the same process waits for Alone.
func (u *Upgrader) ListenPacket(name, network, address string) (net.PacketConn, error) {
	return u.ListenPacketWith(context.Background(), net.ListenConfig{}, name, network, address)
}

// ListenPacketWith is ListenPacket with what lc.Control sets, as in ListenWith.
func (u *Upgrader) ListenPacketWith(
	ctx context.Context, lc net.ListenConfig, name, network, address string,
) (net.PacketConn, error) {
	return openAs(u, socketNote{name, network, []byte(address)},
		func(a listen.Address) (net.PacketConn, error) { return a.ListenPacketWith(ctx, lc) },
		(*listen.Socket).PacketConn)
}

// ListenPacketFunc is ListenFunc for datagrams.
func (u *Upgrader) ListenPacketFunc(
	name, network, address string, open func(network, address string) (net.PacketConn, error),
) (net.PacketConn, error) {
	return openAs(u, socketNote{name, network, []byte(address)},
		func(listen.Address) (net.PacketConn, error) { return open(network, address) },
		(*listen.Socket).PacketConn)
}

func openAs[T io.Closer](
	u *Upgrader, want socketNote, fresh func(listen.Address) (T, error),
	take func(*listen.Socket) (T, error),
) (T, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var none T
	if err := u.checkName(want.Name); err != nil {
		return none, fmt.Errorf("upgrade: %w", err)
	}
	s := &socket{socketNote: want, owned: true}
	found := u.inherited.Named(want.Name)
	was, known := u.heritage.socket(want.Name)
	if known && (was.Network != want.Network || string(was.Address) != string(want.Address)) {
		found = nil // it is to be another one now; Ready closes the old
	}
	var c T
	var err error
	if len(found) > 0 {
		s.owned = known
		c, err = take(found[0])
	} else {
		c, err = fresh(listen.Address{
			Network: want.Network,
			Address: string(want.Address),
			Mode:    u.o.SocketMode,
		})
	}
	if err != nil {
		return none, fmt.Errorf("upgrade: open %s: %w", want.Name, err)
	}
	if err := s.hold(c); err != nil {
		return none, fmt.Errorf("upgrade: open %s: %w", want.Name, err)
	}
	if len(found) == 0 && u.o.Store {
		if err := u.store(s); err != nil {
			return none, errors.Join(fmt.Errorf("upgrade: store %s: %w", want.Name, err), c.Close())
		}
	}
	u.sockets = append(u.sockets, s)
	return c, nil
}

// hold makes c what the successors get. What has no descriptor it closes.
func (s *socket) hold(c io.Closer) error {
	if c == nil {
		return errors.New("there is none")
	}
	var ok bool
	if s.conn, ok = c.(syscall.Conn); !ok {
		return errors.Join(fmt.Errorf("%T has no descriptor", c), c.Close())
	}
	f, err := s.dup() // nil in an interface, too, has none
	if err == nil {
		err = f.Close()
	}
	return err
}

func (u *Upgrader) checkName(name string) error {
	if err := nameable(name); err != nil {
		return err
	}
	if s := u.open(name); s != nil {
		return fmt.Errorf("there is a %s %s already", s.what(), name)
	}
	return nil
}

// nameable refuses what cannot be a name. The rule is that for FDNAME= in sd_notify(3); a colon
// would also end the name in LISTEN_FDNAMES.
func nameable(name string) error {
	bad := strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
	if name == "" || len(name) > 255 || bad {
		return fmt.Errorf(
			"%q is not a name: 1 to 255 printable characters of ASCII without a colon", name)
	}
	return nil
}

// open returns what has that name, if the program has not closed it.
func (u *Upgrader) open(name string) *socket {
	for _, s := range u.sockets {
		if s.Name != name {
			continue
		}
		if f, err := s.dup(); err == nil {
			f.Close()
			return s
		}
	}
	return nil
}

// what it is, for messages.
func (s *socket) what() string {
	if s.Network == networkFile {
		return "file"
	}
	return "socket"
}

// errClosed says that the program has closed a socket.
var errClosed = errors.New("closed")

// dup returns another descriptor of the socket. It does not go through File of package net, whose
// result turns the socket blocking when its number is asked for (os.File.Fd): for us too, because
// that belongs to what all descriptors share, and Accept would hang in the kernel.
func (s *socket) dup() (*os.File, error) {
	fd := -1
	var dupErr error
	err := sys.WithFD(s.conn, func(n int) error {
		fd, dupErr = sys.DupAbove(n, 3)
		return nil
	})
	if err != nil {
		return nil, errClosed // the only error that it has
	}
	if dupErr != nil {
		return nil, fmt.Errorf("socket %s: %w", s.Name, dupErr)
	}
	return os.NewFile(uintptr(fd), s.Name), nil
}

// dupSockets returns a descriptor of every socket that is open, with its note. The caller closes
// them.
func (u *Upgrader) dupSockets() (
	files []*os.File, notes []socketNote, owned []socketNote, err error,
) {
	for _, s := range u.sockets {
		f, err := s.dup()
		if err == errClosed {
			continue
		}
		if err != nil {
			closeFiles(files)
			return nil, nil, nil, err
		}
		files, notes = append(files, f), append(notes, s.socketNote)
		if s.owned {
			owned = append(owned, s.socketNote)
		}
	}
	return files, notes, owned, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close() // a second descriptor of something that stays open
	}
}

// store gives the socket into the manager's keeping.
func (u *Upgrader) store(s *socket) error {
	f, err := s.dup()
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = u.o.Notify.StoreFDs(s.Name, f)
	return err
}

// unlinkOnClose says whether closing a unix listener of ours also removes its name: in the process
// that serves it does, in one that was replaced it would cut the successor off.
func (u *Upgrader) unlinkOnClose(on bool) {
	for _, s := range u.sockets {
		// A *net.UnixListener, but not that of Plan 9.
		if l, ok := s.conn.(interface{ SetUnlinkOnClose(bool) }); ok && s.owned {
			l.SetUnlinkOnClose(on)
		}
	}
}
