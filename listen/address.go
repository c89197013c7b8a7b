package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// Address says where a socket is to be opened.
type Address struct {
	// Network and Address are as for net.Listen (tcp, tcp4, tcp6, unix,
	// unixpacket) and net.ListenPacket (udp, udp4, udp6, unixgram). A unix path
	// must be absolute, or start with '@' for an abstract name.
	Network, Address string

	// Mode is the permission of a unix socket in the file system, whatever the
	// umask: who may write may connect. Zero means 0600, this user alone. On
	// Linux the socket never has more than Mode; elsewhere it has what the umask
	// leaves until a moment after it is opened, so put it into a directory that
	// only the right ones can enter.
	Mode fs.FileMode
}

// Listen opens a socket for connections. A unix socket left by a process that is
// no more is replaced; one that somebody listens on is not, and neither is any
// other file (syscall.EADDRINUSE).
func (a Address) Listen() (net.Listener, error) {
	return a.ListenWith(context.Background(), net.ListenConfig{})
}

// ListenWith is Listen with the socket options, the keep-alive and the Multipath TCP of lc. Where
// lc asks for another keep-alive than package net's own, the listener is no *net.TCPListener but
// has one inside, with its methods, here and in Socket.ListenerWith: which of the two made it shows
// in nothing.
func (a Address) ListenWith(ctx context.Context, lc net.ListenConfig) (net.Listener, error) {
	keep := keepAliveOf(lc)
	if keep != nil {
		lc.KeepAlive, lc.KeepAliveConfig = -1, net.KeepAliveConfig{} // it is set once
	}
	l, err := open(ctx, a, &lc, (*net.ListenConfig).Listen,
		"tcp", "tcp4", "tcp6", "unix", "unixpacket")
	if err != nil {
		return nil, err
	}
	return keep.of(l), nil
}

// ListenPacket opens a socket for datagrams, as Listen does. Unlike a listener's,
// the name of a unixgram socket stays in the file system when it is closed.
func (a Address) ListenPacket() (net.PacketConn, error) {
	return a.ListenPacketWith(context.Background(), net.ListenConfig{})
}

// ListenPacketWith is ListenPacket with the socket options of lc.
func (a Address) ListenPacketWith(
	ctx context.Context, lc net.ListenConfig,
) (net.PacketConn, error) {
	return open(ctx, a, &lc, (*net.ListenConfig).ListenPacket, "udp", "udp4", "udp6", "unixgram")
}

// socket is what both a listener and a packet connection can do.
type socket interface{ Close() error }

type opener[T socket] func(*net.ListenConfig, context.Context, string, string) (T, error)

func open[T socket](
	ctx context.Context, a Address, config *net.ListenConfig, how opener[T], networks ...string,
) (T, error) {
	var none T
	if !slices.Contains(networks, a.Network) {
		return none, fmt.Errorf("listen %s %s: network is none of %s",
			a.Network, a.Address, strings.Join(networks, ", "))
	}
	if !strings.HasPrefix(a.Network, "unix") || strings.HasPrefix(a.Address, "@") {
		return how(config, ctx, a.Network, a.Address)
	}
	if !filepath.IsAbs(a.Address) {
		// A daemon's working directory is not where its user thinks it is.
		return none, fmt.Errorf("listen %s %q: not an absolute path", a.Network, a.Address)
	}
	s, err := a.openUnix(config, func() (socket, error) {
		return how(config, ctx, a.Network, a.Address)
	})
	if err != nil {
		return none, err
	}
	return s.(T), nil
}

// openUnix opens the socket with its mode, replacing a dead one, while it holds a
// lock on its name: between bind and listen even a living socket refuses
// connections, and would look dead to another process that wants the same name.
func (a Address) openUnix(config *net.ListenConfig, open func() (socket, error)) (socket, error) {
	mode := a.Mode
	if mode == 0 {
		mode = 0o600
	}
	if mode&^fs.ModePerm != 0 {
		return nil, fmt.Errorf("listen %s %s: mode %v: more than permissions",
			a.Network, a.Address, a.Mode)
	}
	unlock, err := lockName(a.Address)
	if err != nil {
		return nil, fmt.Errorf("listen %s %s: %w", a.Network, a.Address, err)
	}
	defer unlock()
	if err := a.removeDead(); err != nil {
		return nil, fmt.Errorf("listen %s %s: %w", a.Network, a.Address, err)
	}
	if runtime.GOOS == "linux" {
		// bind(2) takes the socket's own mode, less the umask, for the name
		// (unix_bind_bsd). No other system has that.
		setMode(config, mode)
	}
	s, err := open()
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(a.Address, mode); err != nil { // the bits that the umask took
		return nil, errors.Join(fmt.Errorf("listen %s: %w", a.Network, err), s.Close())
	}
	return s, nil
}

// setMode has a new socket get its mode, and then what else config does with it.
func setMode(config *net.ListenConfig, mode fs.FileMode) {
	then := config.Control
	config.Control = func(network, address string, conn syscall.RawConn) error {
		var chmodErr error
		err := conn.Control(func(fd uintptr) { chmodErr = sys.SetSocketMode(int(fd), mode) })
		if err = errors.Join(err, chmodErr); err != nil || then == nil {
			return err
		}
		return then(network, address, conn)
	}
}

// removeDead removes the socket of that name if nobody holds it.
func (a Address) removeDead() error {
	info, err := os.Lstat(a.Address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("a file that is not a socket is in the way: %w", sys.EADDRINUSE)
	}
	conn, err := net.Dial(a.Network, a.Address)
	if err == nil {
		conn.Close()
	}
	// Only a refusal says that nobody holds it. No other does: EPROTOTYPE is a
	// socket of another kind, EAGAIN one with a full queue, EACCES one that is
	// not ours.
	if !errors.Is(err, sys.ECONNREFUSED) {
		return fmt.Errorf("another process listens there: %w", sys.EADDRINUSE)
	}
	return os.Remove(a.Address)
}

// lockName makes this process the only one that opens a socket of that name
// through this package. The lock is a file beside it, gone after unlock.
func lockName(path string) (unlock func(), err error) {
	f, _, err := sys.OpenTrusted(path+".lock",
		sys.TrustedOpen{Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600, Regular: true})
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		os.Remove(f.Name()) // while it is locked, so that it is ours; left over, it does no harm
		f.Close()
	}, nil
}

func lock(f *os.File) error {
	if err := sys.TryFlock(f); errors.Is(err, sys.ErrLocked) {
		return errOpening
	} else if err != nil {
		return err
	}
	// The one before us may have removed the file between our open and our lock:
	// then somebody else may hold a new one of that name.
	held, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(held, named) {
		return errOpening
	}
	return err
}

// errOpening does not wait for the other: it will hold the address in a moment.
var errOpening = fmt.Errorf("another process is opening it: %w", sys.EADDRINUSE)
