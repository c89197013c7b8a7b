// Package socket opens the sockets and FIFOs that a service is handed.
//
// Who holds them open longer than a service lives is the supervisor; here is only how they come
// into being, so that nobody else has a say in it, and how they are taken away again.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Socket is an open socket or FIFO.
type Socket struct {
	// FD is it: close-on-exec, and blocking, as who is handed it expects (systemd.socket(5),
	// NonBlocking=). It must not be read from or accepted from here. It is no *os.File, because
	// that would make the runtime's poller wake us for every connection, and its Fd would make it
	// blocking for a service that has it non-blocking.
	FD int
	// Path is its name in the file system, "" for one without.
	Path string

	owner sys.Owner
	// what Path was when it was made; its inode is not used again while the socket is open
	file fs.FileInfo
}

// Open opens what s says, with its defaults (spec.Service.WithDefaults), for owner, who gets the
// file in the file system if there is one. Nobody is connected to it, and what others hold is not
// touched: a socket in the file system replaces one of the same name only if nobody listens there.
//
// ctx bounds the look-up of a host by name.
func Open(ctx context.Context, s spec.Socket, owner sys.Owner) (*Socket, error) {
	opened, err := open(ctx, s, owner)
	if err != nil {
		return nil, fmt.Errorf("open socket %s: %w", s.Listen, err)
	}
	return opened, nil
}

func open(ctx context.Context, s spec.Socket, owner sys.Owner) (*Socket, error) {
	switch s.Listen.Network {
	case spec.NetTCP, spec.NetUDP:
		fd, err := openInet(ctx, s)
		if err != nil {
			return nil, err
		}
		return wrap(fd, s, "", owner)
	}
	if s.Listen.Path() != "" {
		return openPath(s, owner)
	}
	fd, err := bindUnix(s, s.Listen.Addr)
	if err != nil {
		return nil, err
	}
	return wrap(fd, s, "", owner)
}

// unixKind is the kind of socket of a network.
func unixKind(n spec.Network) int {
	switch n {
	case spec.NetUnixgram:
		return syscall.SOCK_DGRAM
	case spec.NetUnixpacket:
		return syscall.SOCK_SEQPACKET
	}
	return syscall.SOCK_STREAM
}

// Accepts says whether a network has connections.
func Accepts(n spec.Network) bool {
	return n == spec.NetTCP || n == spec.NetUnix || n == spec.NetUnixpacket
}

// bindUnix makes a unix socket under a name. Its mode is that of the socket itself, less the
// umask (unix_bind_bsd in the kernel), so the name never has more than that.
func bindUnix(s spec.Socket, name string) (int, error) {
	fd, err := sys.OpenSocket(syscall.AF_UNIX, unixKind(s.Listen.Network))
	if err != nil {
		return -1, err
	}
	if name[0] == '/' {
		if err := sys.IfSupported(sys.SetSocketMode(fd, fs.FileMode(*s.Mode))); err != nil {
			return -1, errors.Join(err, sys.CloseFD(fd))
		}
	}
	if err := sys.Bind(fd, sys.Address{Unix: name}); err != nil {
		return -1, errors.Join(err, sys.CloseFD(fd))
	}
	return fd, nil
}

// wrap makes a bound descriptor listen, if it can, and looks at its file. What fails takes it away
// again.
func wrap(fd int, s spec.Socket, path string, owner sys.Owner) (_ *Socket, err error) {
	if err := sys.SetNonblock(fd, false); err != nil {
		return nil, errors.Join(err, sys.CloseFD(fd))
	}
	opened := &Socket{FD: fd, Path: path, owner: owner}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Remove())
		}
	}()
	if path != "" {
		if opened.file, err = os.Lstat(path); err != nil {
			return nil, err
		}
	}
	if !Accepts(s.Listen.Network) {
		return opened, nil
	}
	return opened, sys.Listen(fd, s.Backlog)
}

// Adopt is Open for a descriptor that an earlier process of ours opened for s and owner, and left
// to us. It belongs to the Socket after that.
func Adopt(fd int, s spec.Socket, owner sys.Owner) (*Socket, error) {
	opened := &Socket{FD: fd, Path: s.Listen.Path(), owner: owner}
	if opened.Path == "" {
		return opened, nil
	}
	var err error
	if opened.file, err = os.Lstat(opened.Path); errors.Is(err, fs.ErrNotExist) {
		return opened, nil // somebody removed the name: whoever is connected stays so
	}
	return opened, err
}

// Close closes it and leaves its name, for a process that has it open too or will.
func (s *Socket) Close() error { return sys.CloseFD(s.FD) }

// Remove closes it and removes its name, if that still means it.
func (s *Socket) Remove() error {
	var err error
	if s.Path != "" && s.file != nil {
		err = s.unlink()
	}
	return errors.Join(err, s.Close())
}

func (s *Socket) unlink() error {
	return inPlace(s.Path, s.owner, func(path string) error {
		now, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, s.file) {
			return nil
		}
		if err == nil {
			err = os.Remove(path)
		}
		return err
	})
}
