package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// openPath makes a socket or FIFO with a name in the file system.
func openPath(s spec.Socket, owner sys.Owner) (opened *Socket, err error) {
	err = inPlace(s.Listen.Path(), owner, func(path string) error {
		var fd int
		if s.Listen.Network == spec.NetFIFO {
			fd, err = makeFIFO(s, path, owner)
		} else {
			fd, err = makeUnix(s, path, owner)
		}
		if err == nil {
			opened, err = wrap(fd, s, path, owner)
		}
		return err
	})
	return opened, err
}

// inPlace finds the directory of path, sees that nobody else has a say in it, and has do act there.
// A directory may belong to the owner of the socket: then do acts with that user's rights over
// files alone, so that whatever he puts in our way leads where he could have gone himself.
func inPlace(path string, owner sys.Owner, do func(path string) error) error {
	dir, his, err := trustedDir(filepath.Dir(path), owner.UID)
	if err != nil {
		return err
	}
	path = filepath.Join(dir, filepath.Base(path))
	if runtime.GOOS != "linux" && !his {
		return do(path)
	}
	// Its umask and its user are nobody else's.
	result := make(chan error, 1)
	sys.OnThread(func() {
		result <- func() error {
			if err := sys.UnshareFS(); err != nil {
				return err
			}
			sys.Umask(0)
			if his {
				leave, err := sys.SetThreadFSUser(owner.UID, owner.GID)
				if err != nil {
					return err
				}
				defer leave()
			}
			return do(path)
		}()
	})
	return <-result
}

// makeUnix binds a socket to path. One that is there already is removed if nobody holds it.
func makeUnix(s spec.Socket, path string, owner sys.Owner) (int, error) {
	if err := removeDead(s.Listen.Network, path); err != nil {
		return -1, err
	}
	fd, err := bindUnix(s, path)
	if err != nil {
		return -1, err
	}
	if err := give(path, s, owner); err != nil {
		return -1, errors.Join(err, os.Remove(path), sys.CloseFD(fd))
	}
	return fd, nil
}

// give sets mode and owner of a socket that has just been bound. Nobody else can have exchanged it
// before it is his: see inPlace. So the owner comes last, and nothing is done by name after it.
func give(path string, s spec.Socket, owner sys.Owner) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	has, _, err := sys.FileOwner(info)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("it was exchanged for something else: %w", sys.ErrInsecure)
	}
	if mode := fs.FileMode(*s.Mode); info.Mode().Perm() != mode {
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	if has == owner {
		return nil
	}
	return os.Lchown(path, owner.UID, owner.GID)
}

// makeFIFO makes a FIFO, or takes the one that is there if it is ours or the owner's. It is opened
// for both directions, so that it has no end as long as it is open here (fifo(7)).
func makeFIFO(s spec.Socket, path string, owner sys.Owner) (int, error) {
	if err := sys.NewFIFO(path, uint32(*s.Mode)); err != nil && !errors.Is(err, fs.ErrExist) {
		return -1, err
	}
	fd, err := sys.OpenFIFOBoth(path)
	if err != nil {
		return -1, err
	}
	// From here on by descriptor: a FIFO that was there may be the owner's, who can exchange its
	// name.
	f := os.NewFile(uintptr(fd), path)
	if err := giveFIFO(f, s, owner); err != nil {
		return -1, errors.Join(err, f.Close())
	}
	own, err := sys.DupAbove(fd, 0)
	return own, errors.Join(err, f.Close())
}

func giveFIFO(f *os.File, s spec.Socket, owner sys.Owner) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	has, _, err := sys.FileOwner(info)
	switch {
	case err != nil:
		return err
	case has.UID != owner.UID && !trusted(has.UID):
		return fmt.Errorf("the FIFO there belongs to user %d: %w", has.UID, syscall.EEXIST)
	}
	if mode := fs.FileMode(*s.Mode); info.Mode().Perm() != mode {
		if err := f.Chmod(mode); err != nil {
			return err
		}
	}
	if has != owner {
		return f.Chown(owner.UID, owner.GID)
	}
	return nil
}

// removeDead removes the socket of that name if nobody holds it.
func removeDead(network spec.Network, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("a file that is not a socket is in the way: %w", syscall.EADDRINUSE)
	}
	fd, err := sys.OpenSocket(syscall.AF_UNIX, unixKind(network))
	if err != nil {
		return err
	}
	err = sys.Connect(fd, sys.Address{Unix: path})
	if closeErr := sys.CloseFD(fd); closeErr != nil {
		return closeErr
	}
	// Only a refusal says that nobody holds it. No other answer does: EPROTOTYPE is a socket of
	// another kind, EAGAIN one with a full queue, EACCES one that is not ours.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("another process listens there: %w", syscall.EADDRINUSE)
	}
	return os.Remove(path)
}
