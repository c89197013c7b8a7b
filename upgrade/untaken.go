package upgrade

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/listen"
)

// Handed is a descriptor that a predecessor or a manager has handed to this process.
type Handed struct {
	Name string
	Kind listen.Kind
	// Network and Address are what a predecessor opened it as; "file" and "" for File and AddFile.
	// Both are empty for what a manager handed over.
	Network, Address string
}

// Untaken lists what was handed to this process and nobody has asked for yet: what the version
// before had and this one has not. Ready closes it, after which there is none.
func (u *Upgrader) Untaken() []Handed {
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []Handed
	for _, s := range u.inherited.Untaken() {
		was, _ := u.heritage.socket(s.Name)
		list = append(list, Handed{s.Name, s.Kind, was.Network, string(was.Address)})
	}
	return list
}

// dropUnused closes what was handed over and not asked for, so that nobody connects to a socket
// that is never read, and returns the names. That is before the predecessor hears that it can go:
// it may be gone a moment later, and who then finds this process alone must find those sockets
// closed. Those with a name in the file system are left for dropNames, which is later, but not too
// late for that.
func (u *Upgrader) dropUnused() (names []string, err error) {
	for _, s := range u.heritage.note.Sockets {
		left := u.inherited.Named(s.Name)
		if len(left) == 0 {
			continue
		}
		if u.open(s.Name) == nil {
			names = append(names, s.Name)
		}
		if path := s.path(); path != "" && !u.listensAt(path) {
			f, err := left[0].File()
			if err != nil {
				return nil, err
			}
			u.unwanted = append(u.unwanted, unwanted{path, f})
		}
	}
	return names, u.inherited.Close()
}

// unwanted is a unix socket that a predecessor listened on, and nobody will any more.
type unwanted struct {
	path string
	file *os.File
}

// dropNames removes the names of such sockets, and closes them after, while the predecessor still
// has them open: for so long nobody else who asks first takes such a name.
func (u *Upgrader) dropNames() {
	for _, s := range u.unwanted {
		// As when package net closes a listener: that it fails leaves the name of a dead socket,
		// which the next Listen replaces.
		_ = os.Remove(s.path)
		s.file.Close()
	}
	u.unwanted = nil
}

// path is the name in the file system that goes when a listener is closed; "" if it has none.
func (n socketNote) path() string {
	path := string(n.Address)
	if n.Network != "unix" && n.Network != "unixpacket" || strings.HasPrefix(path, "@") {
		return ""
	}
	return path
}

func (u *Upgrader) listensAt(path string) bool {
	return slices.ContainsFunc(u.sockets, func(s *socket) bool { return s.path() == path })
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
