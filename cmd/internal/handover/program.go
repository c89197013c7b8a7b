package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/socket"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// ToProgram is what a supervisor has open that must outlive its program when another one is
// executed in the process. It can be written as JSON, numbers and all, because execve(2) keeps
// them. All descriptors stay those of the program that hands them over, and are close-on-exec:
// whoever executes the next one clears that as the last thing before, and sets it again if that
// fails.
type ToProgram struct {
	// Notify is the socket that services speak to, with what waits in it.
	Notify int          `json:"notify,omitzero"`
	Held   []Descriptor `json:"held,omitzero"`
	// Pipes are the FIFOs that services print into. The next program opens them by name; held until
	// then, they keep what a service wrote that ends meanwhile.
	Pipes []int `json:"pipes,omitzero"`
	// Event is the ID of the last event, from which the next program counts on.
	Event uint64 `json:"event,omitzero"`
}

// Descriptor is one that is held for a service.
type Descriptor struct {
	// whose it is; of a socket that several share, one of them
	Service string `json:"service"`
	// the key of a socket; opaque
	Socket string `json:"socket,omitzero"`
	// of a stored descriptor, as FDNAME= has it
	Name string `json:"name,omitzero"`
	// a stored one is kept with its other side gone (FDPOLL=0)
	Dead bool `json:"dead,omitzero"`
	FD   int  `json:"fd"`
}

// FDs are all descriptors in it.
func (p *ToProgram) FDs() (list []int) {
	if p.Notify > 0 {
		list = append(list, p.Notify)
	}
	for _, one := range p.Held {
		list = append(list, one.FD)
	}
	return append(list, p.Pipes...)
}

// OpenPipes adds the FIFOs in directories, which need not be there.
func (p *ToProgram) OpenPipes(dirs ...string) error {
	for _, dir := range dirs {
		names, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, name := range names {
			if name.Type() != fs.ModeNamedPipe {
				continue
			}
			fd, err := sys.OpenFIFOReader(filepath.Join(dir, name.Name()))
			if err != nil {
				return err
			}
			p.Pipes = append(p.Pipes, fd)
		}
	}
	return nil
}

// Close closes what was opened for it: the rest is held on.
func (p *ToProgram) Close() { CloseAway(p.Pipes) }

// Held lists what is held for services, of the given names.
func (t *Table[U]) Held(services iter.Seq[U], name func(U) string) (list []Descriptor) {
	listed := map[*shared[U]]bool{}
	for u := range services {
		for _, h := range t.held[u] {
			if fd := h.fd(); fd >= 0 && !listed[h] {
				listed[h] = true
				list = append(list, Descriptor{Service: name(u), Socket: h.key, FD: fd})
			}
		}
		if st := t.stores[u]; st != nil {
			for _, f := range st.files {
				list = append(list,
					Descriptor{Service: name(u), Name: f.name, Dead: f.key == 0, FD: f.fd})
			}
		}
	}
	return list
}

// claim takes those out of what we were given that which picks.
func (t *Table[U]) claim(which func(Descriptor) bool) (list []Descriptor) {
	t.given.Held = slices.DeleteFunc(t.given.Held, func(one Descriptor) bool {
		mine := which(one)
		if mine {
			list = append(list, one)
		}
		return mine
	})
	return list
}

// CloseGiven closes what nobody has claimed of what we were given, and the pipes.
func (t *Table[U]) CloseGiven() {
	CloseAway(t.given.FDs())
	t.given = ToProgram{}
}

// Adopt finds the sockets that u holds where they are open already: among what the program before
// this one has given us, or else in u's process, if it has one (pid).
func (t *Table[U]) Adopt(u U, pid int) {
	for _, h := range t.held[u] {
		if h.fd() >= 0 {
			continue
		}
		if err := t.adopt(&h.holder, pid); err != nil {
			t.o.Failed(u,
				fmt.Errorf("socket %s: not taken over, and opened anew at the next start: %w",
					h.spec.Listen, err))
		}
	}
}

func (t *Table[U]) adopt(h *holder, pid int) error {
	fd := -1
	for _, one := range t.claim(func(d Descriptor) bool { return d.Socket == h.key }) {
		fd = one.FD
	}
	if fd < 0 && pid == 0 {
		return nil // nobody has it: it is opened at the next start
	}
	if fd < 0 {
		var err error
		if fd, err = take(pid, h.spec); err != nil {
			return err
		}
	}
	owner, err := h.owner()
	var adopted *socket.Socket
	if err == nil {
		adopted, err = socket.Adopt(fd, h.spec, owner)
	}
	if err != nil {
		return errors.Join(err, sys.CloseFD(fd))
	}
	h.socket.Store(adopted)
	return nil
}

// errGone says that the process of a service does not hold the socket that it was handed.
var errGone = errors.New("its process does not have it open")

// take takes a socket from a living process of its service (pidfd_getfd(2)). That needs the right
// to trace it: root has it, and an ordinary user where the kernel.yama.ptrace_scope is 0.
func take(pid int, s spec.Socket) (int, error) {
	p, err := sys.HoldProcess(pid)
	if err != nil {
		return -1, err
	}
	defer p.Close() // nothing was written to it
	taken, takeErr := -1, errGone
	err = sys.EachFD(pid, func(n int, target string) bool {
		if n < 3 || !mayBe(target, s.Listen) {
			return true
		}
		fd, err := p.TakeFD(n)
		switch {
		case errors.Is(err, os.ErrPermission) || errors.Is(err, errors.ErrUnsupported):
			takeErr = err
			return false
		case err != nil:
			return true // closed since it was listed
		case socket.Is(fd, s):
			taken, takeErr = fd, nil
			return false
		}
		CloseAway([]int{fd})
		return true
	})
	if err != nil && taken < 0 {
		return -1, err
	}
	return taken, takeErr
}

// mayBe says whether a descriptor of a process may be a socket or FIFO at an address, by what the
// kernel calls it: nothing else that the process has open is touched.
func mayBe(name string, at spec.Address) bool {
	if at.Network == spec.NetFIFO {
		return strings.HasPrefix(name, "/")
	}
	return strings.HasPrefix(name, "socket:")
}
