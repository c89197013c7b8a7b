package supervise

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/sys"
)

// openNotify makes the socket that services find in NOTIFY_SOCKET. It has a name in the file
// system, the kind that every program understands, in a directory of its own that others may pass
// but not list: services run as other users. What a message is worth is decided by its sender.
//
// Of root's supervisor the name is one that nobody can guess, and that only the services'
// environments tell (/proc/PID/environ, which is their users' and root's): whoever finds the socket
// can send a thousand messages with 253 descriptors each, which take room in our table until they
// are closed, and closing them may take as long as they like.
func (e *Engine) openNotify() error {
	dir := filepath.Join(e.o.RuntimeDir, "notify")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	name, err := notifyName(dir, os.Geteuid() == 0)
	if err != nil {
		return fmt.Errorf("notify socket: %w", err)
	}
	if e.notify != nil { // it is made once more: services have been told this one
		name = filepath.Base(e.notify.Address)
	}
	path := filepath.Join(dir, name)
	if e.o.Handover.Notify > 0 {
		socket, err := sys.InheritNotify(e.o.Handover.Notify, path)
		e.notify = socket
		return err
	}
	// /proc/net/unix, which everybody can read, shows the name that a socket was bound to, not the
	// one that it has.
	bound := filepath.Join(dir, notifyBound)
	// A predecessor that was killed has left them; there is only one of us (the lock on the runtime
	// directory).
	for _, old := range []string{bound, path} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	socket, err := sys.ListenNotify(bound)
	if err != nil {
		return err
	}
	if err := os.Rename(bound, path); err != nil {
		return errors.Join(err, socket.Close())
	}
	socket.Address = path
	e.notify = socket
	return nil
}

const (
	notifyPlain = "socket" // where nobody else can pass anyway, and of versions before
	notifyBound = "new"
	notifyBytes = 8 // of chance in a name: 2^63 attempts to find it
)

// notifyName is the name that services which outlived a supervisor know, else a new one.
func notifyName(dir string, secret bool) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		random, err := hex.DecodeString(entry.Name())
		isRandom := err == nil && len(random) == notifyBytes
		if entry.Type() == fs.ModeSocket && (isRandom || entry.Name() == notifyPlain) {
			return entry.Name(), nil
		}
	}
	if !secret {
		return notifyPlain, nil
	}
	random := make([]byte, notifyBytes)
	rand.Read(random) // never fails (crypto/rand)
	return hex.EncodeToString(random), nil
}
