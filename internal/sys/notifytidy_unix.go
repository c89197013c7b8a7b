//go:build unix

package sys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
		if number, ok := strings.CutPrefix(e.Name(), notifyPrefix); ok && number != "" && strings.Trim(number, "0123456789") == "" {
			tidyNotifyDir(filepath.Join(parent, e.Name()))
		}
	}
}

func tidyNotifyDir(dir string) {
	fi, err := os.Lstat(dir)
	if err != nil || !fi.IsDir() || fi.Mode().Perm()&0o067 != 0 {
		return
	}
	if owner, _, err := fileOwner(fi); err != nil || owner.UID != os.Geteuid() {
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
