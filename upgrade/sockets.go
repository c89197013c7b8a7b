package upgrade

import (
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
	return openAs(u, socketNote{name, network, []byte(address)}, listen.Address.Listen,
		(*listen.Socket).Listener)
}

// ListenPacket is Listen for datagrams. Both processes read from the socket while the old one
// finishes: a program that must answer the same peer from the same process waits for Alone.
func (u *Upgrader) ListenPacket(name, network, address string) (net.PacketConn, error) {
	return openAs(u, socketNote{name, network, []byte(address)}, listen.Address.ListenPacket,
		(*listen.Socket).PacketConn)
}

// File returns the open file of that name that a predecessor had, or else what open returns. It is
// for what else must outlive the process: a lock, a memory file, a connection. It is the same open
// file (open(2)) in all of the processes, position included; closing it here does not close it
// there.
func (u *Upgrader) File(name string, open func() (*os.File, error)) (*os.File, error) {
	fresh := func(listen.Address) (*os.File, error) { return open() }
	return openAs(u, socketNote{Name: name, Network: "file"}, fresh, (*listen.Socket).File)
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
	var ok bool
	if s.conn, ok = any(c).(syscall.Conn); !ok {
		return none, errors.Join(fmt.Errorf("upgrade: open %s: %T has no descriptor", want.Name, c),
			c.Close())
	}
	if len(found) == 0 && u.o.Store {
		if err := u.store(s); err != nil {
			return none, errors.Join(fmt.Errorf("upgrade: store %s: %w", want.Name, err), c.Close())
		}
	}
	u.sockets = append(u.sockets, s)
	return c, nil
}

func (u *Upgrader) checkName(name string) error {
	// The rule for FDNAME= in sd_notify(3); a colon would also end the name in LISTEN_FDNAMES.
	bad := strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
	if name == "" || len(name) > 255 || bad {
		return fmt.Errorf(
			"%q is not a name of a socket: 1 to 255 printable characters of ASCII without a colon",
			name,
		)
	}
	for _, s := range u.sockets {
		if f, err := s.dup(); s.Name == name && err == nil {
			f.Close()
			return fmt.Errorf("there is a socket %s already", name)
		}
	}
	return nil
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

// dropUnused closes what was handed over and not asked for, so that nobody connects to a socket
// that is never read, and returns the names. That is before the predecessor hears that it can go:
// it may be gone a moment later, and who then finds this process alone must find those sockets
// closed.
func (u *Upgrader) dropUnused() (names []string, err error) {
	for _, s := range u.heritage.note.Sockets {
		if len(u.inherited.Named(s.Name)) > 0 {
			names = append(names, s.Name)
		}
	}
	return names, u.inherited.Close()
}

// unstore has the manager forget sockets, which listens to the main process only.
func (u *Upgrader) unstore(names []string) error {
	if !u.o.Store {
		return nil
	}
	var errs []error
	for _, name := range names {
		_, err := u.o.Notify.RemoveFDs(name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
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
