package hearing

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/daemonry/daemonry/internal/sys"
)

// Open makes the socket that services find in NOTIFY_SOCKET. It has a name in the file
// system, the kind that every program understands, in a directory of its own that others may pass
// but not list: services run as other users. What a message is worth is decided by its sender.
//
// Of root's supervisor the name is one that nobody can guess, and that only the services'
// environments tell (/proc/PID/environ, which is their users' and root's): whoever finds the socket
// can send a thousand messages with 253 descriptors each, which take room in our table until they
// are closed, and closing them may take as long as they like.
//
// The directory is below runtime. fd is the socket of the program before this one, 0 for none.
func (h *Hearing) Open(runtime string, fd int) error {
	dir := filepath.Join(runtime, "notify")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	name, err := nameIn(dir, os.Geteuid() == 0)
	if err != nil {
		return fmt.Errorf("notify socket: %w", err)
	}
	if h.socket != nil { // it is made once more: services have been told this one
		name = filepath.Base(h.socket.Address)
	}
	path := filepath.Join(dir, name)
	if fd > 0 {
		h.socket, err = sys.InheritNotify(fd, path)
		return err
	}
	// /proc/net/unix, which everybody can read, shows the name that a socket was bound to, not the
	// one that it has.
	bound := filepath.Join(dir, boundName)
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
	h.socket = socket
	return nil
}

// mostRenewed bounds the sockets that are kept after their name is gone.
const mostRenewed = 4

// Renew gives services a socket to speak to again, by the name that they know, if it is not there
// any more below runtime, which may be another directory by now. It says whether it was missing.
func (h *Hearing) Renew(runtime string) (missing bool, err error) {
	if h.socket == nil {
		return false, nil
	}
	if _, err := os.Lstat(filepath.Join(runtime, "notify",
		filepath.Base(h.socket.Address))); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	old := h.socket
	if err := h.Open(runtime, 0); err != nil {
		return true, fmt.Errorf("notify socket: %w", err)
	}
	h.renewed = append(h.renewed, old)
	if h.listen != nil {
		h.listen(h.socket)
	}
	if len(h.renewed) <= mostRenewed {
		return true, nil
	}
	err = h.renewed[0].File().Close()
	h.renewed = slices.Delete(h.renewed, 0, 1)
	return true, err
}

const (
	plainName = "socket" // where nobody else can pass anyway, and of versions before
	boundName = "new"
	nameBytes = 8 // of chance in a name: 2^63 attempts to find it
)

// nameIn is the name that services which outlived a supervisor know, else a new one.
func nameIn(dir string, secret bool) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		random, err := hex.DecodeString(entry.Name())
		isRandom := err == nil && len(random) == nameBytes
		if entry.Type() == fs.ModeSocket && (isRandom || entry.Name() == plainName) {
			return entry.Name(), nil
		}
	}
	if !secret {
		return plainName, nil
	}
	random := make([]byte, nameBytes)
	rand.Read(random) // never fails (crypto/rand)
	return hex.EncodeToString(random), nil
}
