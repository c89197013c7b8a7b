package handover

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// holder holds one socket.
type holder struct {
	key  string
	spec spec.Socket
	user string // of the service: whose the file is if spec.Owner does not say

	opening sync.Mutex                    // held by starts, which open it away from the owner
	socket  atomic.Pointer[socket.Socket] // nil until it is open: the owner waits for no start
}

// keyOf tells sockets apart: it says everything about one but its name for the service, so that a
// change of anything else keeps it, and that of the socket itself makes a new one. The instances of
// a service have the same unless their addresses differ; nth is for those that differ in nothing,
// which may share a port (SO_REUSEPORT).
//
// It goes to the next program, which must find the same.
func keyOf(of *spec.Service, s spec.Socket, nth int) string {
	user := of.User
	s.Name = ""
	if s.Listen.Path() == "" || s.Owner != "" {
		user = ""
	}
	if s.Listen.Path() == "" {
		s.Owner, s.Mode = "", nil
	}
	text, err := json.Marshal(struct {
		Service string      `json:"service"`
		User    string      `json:"user,omitzero"`
		Nth     int         `json:"nth,omitzero"`
		Socket  spec.Socket `json:"socket"`
	}{of.BaseName(), user, nth, s})
	if err != nil { // every field is data with a text
		return err.Error()
	}
	return string(text)
}

// open opens the socket if it is not open. It is called away from the owner; several instances that
// start together wait for the first of them.
func (h *holder) open() (int, error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	if fd := h.fd(); fd >= 0 {
		return fd, nil
	}
	owner, err := h.owner()
	if err != nil {
		return -1, fmt.Errorf("open socket %s: %w", h.spec.Listen, err)
	}
	opened, err := socket.Open(context.Background(), h.spec, owner)
	if err != nil {
		return -1, err
	}
	h.socket.Store(opened)
	return opened.FD, nil
}

// remove closes the socket and takes its name away. It has no users, so no start is under way that
// opens it.
func (h *holder) remove() error {
	if s := h.socket.Swap(nil); s != nil {
		return s.Remove()
	}
	return nil
}

// fd is the open descriptor, -1 if there is none.
func (h *holder) fd() int {
	if s := h.socket.Load(); s != nil {
		return s.FD
	}
	return -1
}

// owner is whose the file of the socket is.
func (h *holder) owner() (sys.Owner, error) {
	user := cmp.Or(h.spec.Owner, h.user)
	if h.spec.Listen.Path() == "" || user == "" {
		return sys.Owner{UID: os.Geteuid(), GID: os.Getegid()}, nil
	}
	account, err := launch.LookupAccount(user)
	if err != nil {
		return sys.Owner{}, err
	}
	return sys.Owner{UID: int(account.UID), GID: int(account.GID)}, nil
}

// shared is a socket with all who are handed it.
type shared[U comparable] struct {
	holder
	users   map[U]struct{}
	waiting map[U]func(spec.Address) // of users, those that wait for a connection
	watch   uint64                   // key of the wait for that, 0 if there is none
}

// Hold makes u one of the users of exactly the sockets in its description. The other instances of
// its service let go of those at its addresses that are not described so any more. What nobody uses
// is closed, and only then are new ones opened, which may be at the same address.
func (t *Table[U]) Hold(u U, described *spec.Service, instances iter.Seq[U]) {
	// or a thousand without any would each look at all the others
	if len(described.Sockets) > 0 && instances != nil {
		for other := range instances {
			if other != u {
				t.keep(other,
					slices.DeleteFunc(slices.Clone(t.held[other]), func(h *shared[U]) bool {
						return h.isOutdatedFor(described)
					}))
			}
		}
	}
	var list []*shared[U]
	for _, one := range described.Sockets {
		key := keyOf(described, one, 0)
		alike := func(h *shared[U]) bool { return h.key == key }
		for nth := 1; slices.ContainsFunc(list, alike); nth++ {
			key = keyOf(described, one, nth)
		}
		h := t.sockets[key]
		if h == nil {
			h = &shared[U]{
				holder: holder{key: key, spec: one, user: described.User},
				users:  map[U]struct{}{}, waiting: map[U]func(spec.Address){},
			}
			t.sockets[key] = h
		}
		h.users[u] = struct{}{}
		list = append(list, h)
	}
	t.keep(u, list)
}

// Release ends what Hold began.
func (t *Table[U]) Release(u U) { t.keep(u, nil) }

// keep makes list what u holds, and lets go of the rest.
func (t *Table[U]) keep(u U, list []*shared[U]) {
	old := t.held[u]
	if t.held[u] = list; len(list) == 0 {
		delete(t.held, u)
	}
	for _, h := range old {
		if !slices.Contains(list, h) {
			t.letGo(u, h)
		}
	}
}

func (t *Table[U]) letGo(u U, h *shared[U]) {
	t.stopAwaiting(u, h)
	delete(h.users, u)
	if len(h.users) > 0 {
		return
	}
	delete(t.sockets, h.key)
	if err := h.remove(); err != nil {
		t.o.Failed(u, fmt.Errorf("close socket %s: %w", h.spec.Listen, err))
	}
}

// Outdated lists the addresses at which u holds another socket than is described.
func (t *Table[U]) Outdated(u U, described *spec.Service) (list []spec.Address) {
	for _, h := range t.held[u] {
		if h.isOutdatedFor(described) {
			list = append(list, h.spec.Listen)
		}
	}
	return list
}

// isOutdatedFor says whether another socket is described at the address of h, and not h.
func (h *shared[U]) isOutdatedFor(described *spec.Service) bool {
	return slices.ContainsFunc(described.Sockets, func(s spec.Socket) bool {
		return s.Listen == h.spec.Listen && keyOf(described, s, 0) != h.key && !s.ReusePort
	})
}

// sharesWith says whether u shares a socket with another user of which runs is true.
func (t *Table[U]) sharesWith(u U, runs func(U) bool) bool {
	for _, h := range t.held[u] {
		for other := range h.users {
			if other != u && runs(other) {
				return true
			}
		}
	}
	return false
}

// Sockets are what u holds, with the descriptors, -1 of one that is not open yet.
func (t *Table[U]) Sockets(u U) (list []spec.Socket, fds []int) {
	for _, h := range t.held[u] {
		list, fds = append(list, h.spec), append(fds, h.fd())
	}
	return list, fds
}

// Opener opens, away from the owner, what u holds and is not open yet.
func (t *Table[U]) Opener(u U) func() error {
	list := t.holders(u)
	return func() error {
		var errs []error
		for _, h := range list {
			_, err := h.open()
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}

func (t *Table[U]) holders(u U) (list []*holder) {
	for _, h := range t.held[u] {
		list = append(list, &h.holder)
	}
	return list
}

// Await has connected called by the owner, once, with the address of the first of u's sockets to
// which somebody connects. The connection is not accepted: it waits in the socket. What an error
// left behind StopAwaiting ends.
func (t *Table[U]) Await(u U, connected func(spec.Address)) error {
	for _, h := range t.held[u] {
		h.waiting[u] = connected
		if h.watch != 0 {
			continue
		}
		var err error
		h.watch, err = t.watch.add(h.fd(), sys.WaitInput, func() {
			h.watch = 0
			for u := range maps.Clone(h.waiting) {
				// else one before it has ended its wait
				if connected := h.waiting[u]; connected != nil {
					t.StopAwaiting(u)
					connected(h.spec.Listen)
				}
			}
		})
		if err != nil {
			return fmt.Errorf("wait for a connection to %s: %w", h.spec.Listen, err)
		}
	}
	return nil
}

// StopAwaiting ends what Await began.
func (t *Table[U]) StopAwaiting(u U) {
	for _, h := range t.held[u] {
		t.stopAwaiting(u, h)
	}
}

func (t *Table[U]) stopAwaiting(u U, h *shared[U]) {
	delete(h.waiting, u)
	if len(h.waiting) == 0 {
		t.watch.forget(h.watch)
		h.watch = 0
	}
}

// Called says whether somebody waits in a socket of u to be accepted.
func (t *Table[U]) Called(u U) (bool, error) {
	_, fds := t.Sockets(u)
	return sys.Readable(fds...) // poll(2) passes negative numbers over
}
