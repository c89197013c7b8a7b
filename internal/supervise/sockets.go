package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/daemonry/daemonry/internal/procopt"
	"github.com/daemonry/daemonry/internal/socket"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// A socket is open for as long as a service that is handed it is meant to run: from its first start over
// all crashes, delays and restarts until it is stopped by hand, given up or removed. Meanwhile connections queue in it
// and none is refused. What is open is known by a key that says everything about it but its name
// for the service, so that a change of anything else keeps it, and that of the socket itself makes a new one.

// holder holds one socket for the services that are handed it.
type holder struct {
	key  string
	spec spec.Socket
	user string // of the service: whose the file is if spec.Owner does not say

	mu     sync.Mutex     // a start opens it, away from the owner
	socket *socket.Socket // nil until it is open
	users  map[*service]struct{}

	waiting map[*service]struct{} // of users, those that a connection starts
	watch   uint64                // key of the wait for that, 0 if there is none
}

// socketKey tells sockets apart. The instances of a service have the same unless their addresses differ; nth is
// for those that differ in nothing, which may share a port (SO_REUSEPORT).
func socketKey(base, user string, s spec.Socket, nth int) string {
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
	}{base, user, nth, s})
	if err != nil { // every field is data with a text
		return err.Error()
	}
	return string(text)
}

// holdSockets makes s one of the users of exactly the sockets in its description. Those that nobody uses any more
// are closed before new ones are opened, which may be at the same address.
func (e *Engine) holdSockets(s *service) {
	var list []*holder
	count := map[string]int{}
	for _, one := range s.spec.Sockets {
		key := socketKey(s.spec.BaseName(), s.spec.User, one, 0)
		nth := count[key]
		count[key]++
		if nth > 0 {
			key = socketKey(s.spec.BaseName(), s.spec.User, one, nth)
		}
		h := e.sockets[key]
		if h == nil {
			h = &holder{key: key, spec: one, user: s.spec.User, users: map[*service]struct{}{}}
			e.sockets[key] = h
		}
		h.users[s] = struct{}{}
		list = append(list, h)
	}
	old := s.sockets
	s.sockets = list
	for _, h := range old {
		if !s.holds(h) {
			e.letGo(s, h)
		}
	}
}

func (s *service) holds(h *holder) bool {
	for _, mine := range s.sockets {
		if mine == h {
			return true
		}
	}
	return false
}

// releaseSockets ends what holdSockets began.
func (e *Engine) releaseSockets(s *service) {
	old := s.sockets
	s.sockets = nil
	for _, h := range old {
		e.letGo(s, h)
	}
}

func (e *Engine) letGo(s *service, h *holder) {
	delete(h.users, s)
	if len(h.users) > 0 {
		return
	}
	delete(e.sockets, h.key)
	if err := h.remove(); err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("close socket %s: %v", h.spec.Listen, err)})
	}
}

// sharedAlive says whether a process of another service, or another process of this one, has one of the sockets of s.
func (s *service) sharedAlive() bool {
	for _, h := range s.sockets {
		for other := range h.users {
			if other != s && (other.pid != 0 || other.spawning) {
				return true
			}
		}
	}
	return false
}

// open opens the socket if it is not open. It is called away from the owner; several
// instances that start together wait for the first of them.
func (h *holder) open() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.socket != nil {
		return h.socket.FD, nil
	}
	owner, err := socketOwner(h.spec, h.user)
	if err != nil {
		return -1, fmt.Errorf("open socket %s: %w", h.spec.Listen, err)
	}
	h.socket, err = socket.Open(context.Background(), h.spec, owner)
	if err != nil {
		return -1, err
	}
	return h.socket.FD, nil
}

// remove closes the socket and takes its name away.
func (h *holder) remove() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.socket == nil {
		return nil
	}
	err := h.socket.Remove()
	h.socket = nil
	return err
}

// fd is the open descriptor, -1 if there is none. Only a start opens, so that the owner waits for nothing
// here that takes long.
func (h *holder) fd() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.socket == nil {
		return -1
	}
	return h.socket.FD
}

// socketOwner is whose the file of a socket is.
func socketOwner(s spec.Socket, user string) (sys.Owner, error) {
	if s.Owner != "" {
		user = s.Owner
	}
	if s.Listen.Path() == "" || user == "" {
		return sys.Owner{UID: os.Geteuid(), GID: os.Getegid()}, nil
	}
	account, err := procopt.LookupAccount(user)
	if err != nil {
		return sys.Owner{}, err
	}
	return sys.Owner{UID: int(account.UID), GID: int(account.GID)}, nil
}

// handover is what a start hands to the process besides its streams, in this order (sd_listen_fds(3)).
type handover struct {
	sockets []*holder
	names   []string // of sockets
	stored  []stored
	limit   int   // of the descriptor store, for $FDSTORE
	err     error // why there is no handover
	// alone: no living process has the sockets. They are made blocking then, as systemd hands them
	// over; a process that serves must not find its own non-blocking socket blocking.
	alone bool
}

// mostHandedOver is how many descriptors a process is handed; spawn passes 240 at most, its streams among them.
const mostHandedOver = 200

// storeLimit is how many descriptors the service may leave with us.
func (s *service) storeLimit() int {
	return max(0, min(s.spec.FDStore, mostHandedOver-len(s.spec.Sockets)))
}

func (e *Engine) handoverOf(s *service) handover {
	h := handover{sockets: s.sockets, alone: !s.sharedAlive(), limit: s.storeLimit()}
	for _, one := range s.spec.Sockets {
		h.names = append(h.names, one.Name)
	}
	h.stored, h.err = s.store.copies()
	return h
}

// fill opens what is not open yet and puts everything into a description of the process.
func (h *handover) fill(sp *spawn.Spec) error {
	if h.err != nil {
		return h.err
	}
	next := 3 // SD_LISTEN_FDS_START
	pass := func(fd int, name string) {
		sp.RawFiles = append(sp.RawFiles, spawn.RawFile{FD: next, Source: fd})
		sp.ListenNames = append(sp.ListenNames, name)
		next++
	}
	for i, holder := range h.sockets {
		fd, err := holder.open()
		if err != nil {
			return err
		}
		if h.alone {
			if err := sys.SetNonblock(fd, false); err != nil {
				return fmt.Errorf("socket %s: %w", holder.spec.Listen, err)
			}
		}
		pass(fd, h.names[i])
	}
	for _, f := range h.stored {
		pass(f.fd, f.name)
	}
	if h.limit > 0 {
		sp.Env = append(sp.Env, "FDSTORE="+strconv.Itoa(h.limit))
	}
	return nil
}

// close closes what only the start needed.
func (h *handover) close() { closeAway(numbers(h.stored)) }

// open opens all sockets, for a service that waits for a connection.
func (h *handover) open() error {
	var errs []error
	for _, holder := range h.sockets {
		_, err := holder.open()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
