//go:build unix && !aix

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// NotifySocket is the receiving end of sd_notify(3).
//
// Anybody who can reach it may send: what a message is worth is decided by its
// Packet.Sender, never by its having arrived.
type NotifySocket struct {
	// Address is the value of NOTIFY_SOCKET for those who are to send.
	Address string

	file *os.File // non-blocking: the runtime's poller waits, no thread does
	dir  string   // removed with the socket, if not empty
}

// ListenNotify opens a socket for messages. Named by the empty string it is one
// of its own: on Linux an abstract socket whose name the kernel chooses, which
// leaves nothing in the file system, is reached from inside a chroot and dies
// with its last descriptor, but is not reached from another network namespace;
// elsewhere a socket in a new directory of mode 0700.
//
// Otherwise name is the absolute path of a socket that does not exist yet
// (EADDRINUSE), which every user may write to who can reach its directory:
// services run as other users. It is the kind that a successor can bind again
// under the same name. '@' and a name is an abstract socket (Linux).
func ListenNotify(name string) (_ *NotifySocket, err error) {
	s, path := &NotifySocket{}, name
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if path == "" && runtime.GOOS != "linux" {
		if s.dir, err = os.MkdirTemp("", "notify-"); err != nil {
			return nil, fmt.Errorf("notify socket: %w", err)
		}
		path = filepath.Join(s.dir, "socket")
	}
	fd, err := OpenUnixDatagram()
	if err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	s.file = os.NewFile(uintptr(fd), "notify socket")
	// Before bind, so that no message arrives without its sender.
	if err := PassCredentials(fd); err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	if err := Bind(fd, Address{Unix: path}); err != nil {
		return nil, fmt.Errorf("notify socket %s: %w", path, err)
	}
	s.Address = path // from here on Close removes it
	if path == "" {
		if s.Address, err = SocketName(fd); err != nil {
			return nil, fmt.Errorf("notify socket: %w", err)
		}
		return s, nil
	}
	// bind(2) applied the umask, so the mode only ever grows.
	if s.dir == "" && path[0] == '/' {
		if err := os.Chmod(path, 0o666); err != nil {
			return nil, fmt.Errorf("notify socket: %w", err)
		}
	}
	return s, nil
}

// The names of such a directory, before its number, and of the socket in it.
const (
	notifyPrefix = "notify-"
	notifyName   = "socket"
)

// ListenNotifyIn opens a socket in a new directory below parent, that nobody else can enter: a
// group can, if gid is not negative. Unlike an abstract name, which anybody may bind once it is
// free, that of such a socket stays dead when the socket is closed, if others cannot write to
// parent.
//
// What launchers of the same user have left in parent that were killed is removed.
func ListenNotifyIn(parent string, gid int) (*NotifySocket, error) {
	tidyNotify(parent)
	dir, err := os.MkdirTemp(parent, notifyPrefix)
	if err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	s, err := ListenNotify(filepath.Join(dir, notifyName))
	if err == nil && gid >= 0 {
		err = os.Chown(dir, -1, gid)
		if err == nil {
			err = os.Chmod(dir, 0o710)
		}
	}
	if err != nil {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
		return nil, errors.Join(fmt.Errorf("notify socket: %w", err), os.Remove(dir))
	}
	s.dir = dir
	return s, nil
}

// Receive waits for a message and puts it into p. Close, and a deadline of File,
// end the wait (os.ErrClosed, os.ErrDeadlineExceeded).
func (s *NotifySocket) Receive(p []byte) (Packet, error) {
	return waitMsg(s.file, func(fd int) (Packet, error) { return RecvMsg(fd, p) })
}

// ReceiveLocked is Receive that locks l from before a message is taken out of the socket until it
// returns it, still locked; l is not held while it waits, nor with an error.
func (s *NotifySocket) ReceiveLocked(p []byte, l sync.Locker) (Packet, error) {
	return waitMsg(s.file, func(fd int) (pkt Packet, err error) {
		l.Lock()
		if pkt, err = RecvMsg(fd, p); err != nil {
			l.Unlock()
		}
		return pkt, err
	})
}

// Waiting says whether a message is in the socket. What cannot be told is none.
func (s *NotifySocket) Waiting() (waiting bool) {
	err := WithFD(s.file, func(fd int) (err error) {
		waiting, err = Readable(fd)
		return err
	})
	return err == nil && waiting
}

// File is the socket: to set deadlines, to poll it (SyscallConn) and receive with
// RecvMsg, or to pass it on. It belongs to s.
func (s *NotifySocket) File() *os.File { return s.file }

// Close closes the socket and removes its name from the file system.
func (s *NotifySocket) Close() error {
	var errs []error
	if s.file != nil {
		errs = append(errs, s.file.Close())
	}
	if s.Address != "" && s.Address[0] == '/' {
		if err := os.Remove(s.Address); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if s.dir != "" {
		errs = append(errs, os.Remove(s.dir))
	}
	return errors.Join(errs...)
}

// waitMsg receives, on a non-blocking socket in the runtime's poller, when there is a message;
// until f is closed or its read deadline is past.
func waitMsg(f *os.File, receive func(fd int) (Packet, error)) (pkt Packet, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return Packet{}, err
	}
	waitErr := conn.Read(func(fd uintptr) bool {
		pkt, err = receive(int(fd))
		return !errors.Is(err, syscall.EAGAIN)
	})
	if waitErr != nil { // nothing was received
		// A RawConn's own error for a closed file is not os.ErrClosed; that of an
		// empty read is.
		if _, err := f.Read(nil); errors.Is(err, os.ErrClosed) {
			return Packet{}, err
		}
		return Packet{}, waitErr
	}
	return pkt, err
}

// InheritNotify is ListenNotify for the socket that an earlier image of this process has opened
// under that name, with the messages that wait in it.
func InheritNotify(fd int, name string) (*NotifySocket, error) {
	if err := SetCloseOnExec(fd, true); err != nil {
		return nil, err
	}
	// Non-blocking as it has been from the beginning, so the runtime's poller waits.
	return &NotifySocket{file: os.NewFile(uintptr(fd), "notify socket"), Address: name}, nil
}

// bindTime is how long a directory for a socket may be empty, at most: until bind(2).
const bindTime = time.Minute

// tidyNotify removes the directories that launchers of ours have left in parent which were killed:
// those of nobody else, in which nothing is but a socket that nobody holds any more. Where others
// can put something else in their place it does nothing. No error is told: what stays is in
// nobody's way.
func tidyNotify(parent string) {
	fi, err := os.Stat(parent)
	if err != nil || fi.Mode().Perm()&0o022 != 0 && fi.Mode()&os.ModeSticky == 0 {
		return
	}
	names, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range names {
		number, ok := strings.CutPrefix(e.Name(), notifyPrefix)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			tidyNotifyDir(filepath.Join(parent, e.Name()))
		}
	}
}

func tidyNotifyDir(dir string) {
	fi, err := os.Lstat(dir)
	if err != nil || !fi.IsDir() || fi.Mode().Perm()&0o067 != 0 {
		return
	}
	if owner, _, err := FileOwner(fi); err != nil || owner.UID != os.Geteuid() {
		return
	}
	list, err := os.ReadDir(dir)
	switch {
	case err != nil:
	case len(list) == 0 && time.Since(fi.ModTime()) > bindTime:
		_ = os.Remove(dir)
	case len(list) == 1 && list[0].Name() == notifyName && list[0].Type() == fs.ModeSocket:
		socket := filepath.Join(dir, notifyName)
		if held, err := notifyHeld(socket); err == nil && !held {
			_ = errors.Join(os.Remove(socket), os.Remove(dir))
		}
	}
}

// notifyHeld says whether somebody has a datagram socket of that name open: else the kernel refuses
// a connection.
func notifyHeld(path string) (bool, error) {
	fd, err := OpenUnixDatagram()
	if err != nil {
		return false, err
	}
	defer CloseFD(fd)
	err = retry(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	if err == unix.ECONNREFUSED {
		return false, nil
	}
	return true, wrap("connect", err)
}
