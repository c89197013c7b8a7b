package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/daemonry/daemonry/cmd/internal/procopt"
	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// A socket is open for as long as a service that is handed it is meant to run: from its first start
// over all crashes, delays and restarts until it is stopped by hand, given up or removed. Meanwhile
// connections queue in it and none is refused. What is open is known by a key that says everything
// about it but its name for the service, so that a change of anything else keeps it, and that of
// the socket itself makes a new one.

// holder holds one socket for the services that are handed it.
type holder struct {
	key  string
	spec spec.Socket
	user string // of the service: whose the file is if spec.Owner does not say

	mu     sync.Mutex     // for starts, which open it away from the owner
	socket *socket.Socket // nil until it is open
	opened atomic.Bool    // set when socket is, for the owner, who waits for no start
	users  map[*service]struct{}

	waiting map[*service]struct{} // of users, those that a connection starts
	watch   uint64                // key of the wait for that, 0 if there is none
}

// socketKey tells sockets apart. The instances of a service have the same unless their addresses
// differ; nth is for those that differ in nothing, which may share a port (SO_REUSEPORT).
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

// holdSockets makes s one of the users of exactly the sockets in its description. Those that nobody
// uses any more are closed before new ones are opened, which may be at the same address.
func (e *Engine) holdSockets(s *service) {
	e.dropOutdated(s)
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

// dropOutdated has other instances, which have no process by now, let go of older sockets at the
// addresses of s.
func (e *Engine) dropOutdated(s *service) {
	if len(s.spec.Sockets) == 0 {
		return // or a thousand instances without any would each look at all the others
	}
	for _, other := range e.byBase[s.spec.BaseName()] {
		if other == s {
			continue
		}
		old := other.sockets
		other.sockets = slices.DeleteFunc(slices.Clone(old), s.wantsAnew)
		for _, h := range old {
			if !other.holds(h) {
				e.letGo(other, h)
			}
		}
	}
}

// outdated lists the processes that have an older socket at an address that s is about to open:
// those of other instances, which are restarted for the same edit, and elders of its own. The
// address is free when they have ended.
func (e *Engine) outdated(s *service) (list []string) {
	if len(s.spec.Sockets) == 0 {
		return nil
	}
	others := e.byBase[s.spec.BaseName()]
	for elder := range s.kin.elders {
		others = append(others[:len(others):len(others)], elder)
	}
	for _, other := range others {
		if other == s || other.PID() == 0 && !other.spawning() {
			continue
		}
		for _, h := range other.sockets {
			if s.wantsAnew(h) {
				list = append(list, fmt.Sprintf("%s (has %s as it was)", other.spec.Name, h.spec.Listen))
			}
		}
	}
	return list
}

// wantsAnew says whether s describes another socket at the address of h, and not h.
func (s *service) wantsAnew(h *holder) bool {
	for _, one := range s.spec.Sockets {
		if one.Listen == h.spec.Listen && socketKey(s.spec.BaseName(), s.spec.User, one, 0) != h.key && !one.ReusePort {
			return true
		}
	}
	return false
}

// wakeSiblings has those look again that wait for a process of s to let go of a socket.
func (e *Engine) wakeSiblings(s *service) {
	if len(s.spec.Sockets) == 0 {
		return
	}
	for _, d := range slices.Concat(e.byBase[s.spec.BaseName()], e.expand(s.spec.Name)) {
		if d.state == Waiting && !d.rechecking {
			d.rechecking = true
			e.post(func() { e.recheck(d) })
		}
	}
}

// sharedAlive says whether a process of another service, or another process of this one, has one of
// the sockets of s.
func (s *service) sharedAlive() bool {
	for _, h := range s.sockets {
		for other := range h.users {
			if other != s && (other.PID() != 0 || other.spawning()) {
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
	opened, err := socket.Open(context.Background(), h.spec, owner)
	if err != nil {
		return -1, err
	}
	h.put(opened)
	return opened.FD, nil
}

// put makes an open socket that of h. Once set it stays the same until it is removed.
func (h *holder) put(s *socket.Socket) {
	h.socket = s
	h.opened.Store(true)
}

// remove closes the socket and takes its name away. It has no users, so no start is under way that
// opens it.
func (h *holder) remove() error {
	if !h.opened.Swap(false) {
		return nil
	}
	return h.socket.Remove()
}

// fd is the open descriptor, -1 if there is none.
func (h *holder) fd() int {
	if !h.opened.Load() {
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

// handover is what a start hands to the process besides its streams, in this order
// (sd_listen_fds(3)).
type handover struct {
	sockets []*holder
	names   []string // of sockets
	stored  []stored
	limit   int   // of the descriptor store, for $FDSTORE
	err     error // why there is no handover
	// alone: no living process has the sockets. They are made blocking then, as systemd hands them
	// over; a process that serves must not find its own non-blocking socket blocking. Those that
	// the description wants non-blocking are made so always: each process of the service was handed
	// them so.
	alone bool
}

// mostHandedOver is how many descriptors a process is handed; spawn passes 240 at most, its streams
// among them.
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
		if h.alone || holder.spec.Nonblocking {
			if err := sys.SetNonblock(fd, holder.spec.Nonblocking); err != nil {
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
