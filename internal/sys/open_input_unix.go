//go:build unix && !aix

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenInput opens for reading what somebody has named for the use of user c: nil is ourselves. It
// never waits for a peer, though a dead file server or a FUSE file system may still keep it
// waiting.
//
// It is opened with the rights of c, so that no link leads to what c could not have read anyway.
// What c may not read is opened with our own rights if nobody but root and us could have put it
// there: every directory on the way and the file are out of everybody else's reach, and no link on
// it is another's. So a file of secrets that root alone may read can be given to a service, and not
// one that the service itself has put in its place.
//
// Where a thread has no user of its own (anywhere but on Linux, and there before 5.6), and for root
// itself, it is opened with our rights, by OpenTrusted's rule: no link that somebody else could
// have planted is followed.
//
// A FIFO that has a name is opened for writing too: so it needs no writer to begin with, and has
// no end when the first of several goes.
func OpenInput(path string, c *Credential) (*os.File, error) {
	euid := os.Geteuid()
	switch {
	case euid == 0 && (c == nil || c.UID == 0):
		return openInputTrusted(path, TrustedOpen{Single: true})
	case c == nil || int(c.UID) == euid:
		return openInputBy(path, openPlain)
	}
	f, err := openInputAs(path, *c)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return openInputTrusted(path, TrustedOpen{Single: true})
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP):
		// The latter: /dev/stdin, and what a shell calls /dev/fd/63.
		// Of the two refusals the first one counts: what others could have planted, c should be
		// able to read.
		if f, e := openInputTrusted(path, TrustedOpen{Ours: true, Single: true}); e == nil {
			return f, nil
		}
		return nil, fmt.Errorf("as user %d: %w", c.UID, err)
	}
	return f, err
}

// openInputTrusted opens with our rights. A FIFO is opened again, for writing too.
func openInputTrusted(path string, o TrustedOpen) (*os.File, error) {
	f, _, err := OpenTrusted(path, o)
	if err != nil {
		return nil, err
	}
	return endless(f, func() (*os.File, error) {
		o.Flags = os.O_RDWR
		again, _, err := OpenTrusted(path, o)
		return again, err
	})
}

// opener is open(2), or like it.
type opener func(path string, flags int) (int, error)

func openPlain(path string, flags int) (int, error) { return unix.Open(path, flags, 0) }

// openInputBy opens with the rights of the calling thread.
func openInputBy(path string, open opener) (*os.File, error) {
	f, err := openNow(path, unix.O_RDONLY, open)
	if err != nil {
		return nil, err
	}
	return endless(f, func() (*os.File, error) { return openNow(path, unix.O_RDWR, open) })
}

// openNow is open(2) that waits for no peer; what it gives waits, as one expects of standard input.
func openNow(path string, flags int, open opener) (*os.File, error) {
	fd, err := leased(func() (int, error) {
		return retry1(func() (int, error) {
			return open(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC)
		})
	})
	if err == nil {
		if err = unix.SetNonblock(fd, false); err != nil {
			CloseFD(fd) // nothing was written to it
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// endless exchanges a FIFO with a name for one that has a writer: what again opens. A pipe without
// a name, which a shell calls /dev/fd/63, has its writers already, and an end.
func endless(f *os.File, again func() (*os.File, error)) (*os.File, error) {
	named, err := NamedFIFO(f)
	if err == nil && !named {
		return f, nil
	}
	fi, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return nil, err
	}
	f, err = again()
	if err != nil {
		const why = "a FIFO is opened for writing too, or its reader would find its end at once"
		return nil, fmt.Errorf("%s: %w", why, err)
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(fi, now) {
		err = &fs.PathError{Op: "open", Path: f.Name(), Err: syscall.ESTALE}
	}
	if err != nil {
		return nil, Also(err, f.Close())
	}
	return f, nil
}

// NamedFIFO says whether f is a FIFO that has a name, and not one of pipe(2).
func NamedFIFO(f *os.File) (bool, error) {
	fi, err := f.Stat()
	return err == nil && fi.Mode().Type() == fs.ModeNamedPipe && !nameless(f), err
}
