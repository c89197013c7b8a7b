package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Held is a descriptor that the engine holds for a service and that must outlive the engine's
// program when another one is executed in its process. It can be written as JSON, FD and all,
// because execve(2) keeps the numbers.
type Held struct {
	Service string `json:"service"`         // whose it is; of a socket that several share, one of them
	Socket  string `json:"socket,omitzero"` // the key of a socket; opaque
	Name    string `json:"name,omitzero"`   // of a stored descriptor, as FDNAME= has it
	Dead    bool   `json:"dead,omitzero"`   // a stored one is kept even when its other side is gone (FDPOLL=0)
	FD      int    `json:"fd"`              // stays the engine's, and close-on-exec
}

// Held lists what Options.Inherited of the next program is to be. Whoever executes it does so with
// the engine standing still, clears close-on-exec of these descriptors as the last thing before
// execve(2), and sets it again if that fails.
func (e *Engine) Held(ctx context.Context) (list []Held, err error) {
	err = e.ask(ctx, func() { list = e.held() })
	return list, err
}

func (e *Engine) held() (list []Held) {
	listed := map[string]bool{}
	for _, s := range e.sorted() {
		for _, h := range s.sockets {
			if fd := h.fd(); fd >= 0 && !listed[h.key] {
				listed[h.key] = true
				list = append(list, Held{Service: s.spec.Name, Socket: h.key, FD: fd})
			}
		}
		if s.store == nil {
			continue
		}
		for _, f := range s.store.files {
			list = append(list, Held{Service: s.spec.Name, Name: f.name, Dead: f.key == 0, FD: f.fd})
		}
	}
	return list
}

// adoptHeld gives a service that was taken over the sockets that it has: those that this process
// has inherited, or else those that can be taken from the service's own process.
func (e *Engine) adoptHeld(s *service) {
	for _, held := range e.inherited {
		if held.Service == s.spec.Name && held.Socket == "" {
			e.restoreStored(s, held)
		}
	}
	if s.PID() == 0 && s.state != Backoff && s.state != Waiting && s.state != Starting && s.state != Listening {
		return
	}
	e.holdSockets(s)
	for _, h := range s.sockets {
		if h.fd() >= 0 {
			continue
		}
		if err := e.adoptSocket(s, h); err != nil {
			e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf(
				"socket %s: not taken over, and opened anew at the next start: %v", h.spec.Listen, err)})
		}
	}
}

// adoptSocket finds the open socket that h stands for.
func (e *Engine) adoptSocket(s *service, h *holder) error {
	fd := -1
	for i, held := range e.inherited {
		if held.Socket == h.key {
			fd = held.FD
			e.inherited = append(e.inherited[:i:i], e.inherited[i+1:]...)
			break
		}
	}
	if fd < 0 && s.PID() == 0 {
		return nil // nobody has it: it is opened at the next start
	}
	if fd < 0 {
		var err error
		if fd, err = takeSocket(s.PID(), h); err != nil {
			return err
		}
	}
	owner, err := socketOwner(h.spec, h.user)
	var adopted *socket.Socket
	if err == nil {
		adopted, err = socket.Adopt(fd, h.spec, owner)
	}
	if err != nil {
		return errors.Join(err, sys.CloseFD(fd))
	}
	h.put(adopted)
	return nil
}

// errSocketGone says that the process of a service does not hold the socket that it was handed.
var errSocketGone = errors.New("its process does not have it open")

// takeSocket takes a socket from a living process of its service (pidfd_getfd(2)). That needs the
// right to trace it: root has it, and an ordinary user where the kernel.yama.ptrace_scope is 0.
func takeSocket(pid int, h *holder) (int, error) {
	p, err := sys.HoldProcess(pid)
	if err != nil {
		return -1, err
	}
	defer p.Close() // nothing was written to it
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1, err
	}
	for _, name := range names {
		n, err := strconv.Atoi(name.Name())
		if err != nil || n < 3 || !mayBe(pid, n, h.spec.Listen) {
			continue
		}
		fd, err := p.TakeFD(n)
		if errors.Is(err, os.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
			return -1, err
		}
		if err != nil {
			continue // closed since it was listed
		}
		if socket.Is(fd, h.spec) {
			return fd, nil
		}
		closeAway([]int{fd})
	}
	return -1, errSocketGone
}

// mayBe says whether a descriptor of a process may be a socket or FIFO at an address, by what the
// kernel calls it (proc_pid_fd(5)): nothing else that the process has open is touched.
func mayBe(pid, fd int, at spec.Address) bool {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	if at.Network == spec.NetFIFO {
		return err == nil && strings.HasPrefix(name, "/")
	}
	return err == nil && strings.HasPrefix(name, "socket:")
}

// restoreStored puts an inherited descriptor back into the store of its service.
func (e *Engine) restoreStored(s *service, held Held) {
	if s.store == nil {
		s.store = &fdStore{}
	}
	if err := e.keepFile(s, held.FD, held.Name, !held.Dead); err != nil {
		e.emit(s, Event{Kind: EventTrouble, Reason: fmt.Sprintf("descriptor store: %s: %v", held.Name, err)})
	}
}

// closeInherited closes what no service has claimed, and the originals of what was stored.
func (e *Engine) closeInherited() {
	var rest []int
	for _, held := range e.inherited {
		rest = append(rest, held.FD)
	}
	e.inherited = nil
	closeAway(rest)
}
