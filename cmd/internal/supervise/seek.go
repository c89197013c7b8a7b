package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
)

// seek finds processes that no record names: those of starts that were under way when the
// predecessor was killed, by the invocation id that was noted before; and where records are missing
// or refused, those that hold the log FIFO of a service, which only a process of that service can
// have: the directory is closed to everybody else.
//
// Nobody is being born any more while this looks: the lock of the directories is held until the
// last stage of the predecessor has executed its program (Options.Lock), and we have it.
func (t *takeover) seek() {
	sought := children.Sought{
		Invocations: map[string]*children.Unit{},
		Outputs:     map[sys.FileID]*children.Unit{},
		Members:     t.members(),
	}
	for _, s := range t.missing {
		starting := s.State() == Starting
		if starting {
			sought.Invocations[s.Invocation()] = &s.Unit
		}
		if starting && !t.Unsure[s.Name()] {
			continue
		}
		if id, held := t.e.heldFIFO(s); held {
			sought.Outputs[id] = &s.Unit
		}
	}
	found, err := t.e.procs.Seek(sought)
	if err != nil {
		t.e.o.Trouble(fmt.Errorf("look for services that live: %w", err))
		return
	}
	for u, f := range found {
		s := serviceOf(lifecycle.Of(u))
		if err := t.find(s, f); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.e.o.Trouble(fmt.Errorf("%s: not taken over: %w", s.Name(), err))
		}
	}
}

// members are the processes in the control groups of services that may run although no record says
// so.
func (t *takeover) members() map[int]children.Member {
	list := map[int]children.Member{}
	if len(t.doubtful) == 0 {
		return list
	}
	for _, g := range t.e.cgroups.Groups() {
		name, invocation := cgroup.StartAt(g.Path)
		s := t.e.services.Named(name)
		if s == nil || !slices.Contains(t.doubtful, s) {
			continue
		}
		pids, err := g.Members()
		if err != nil {
			t.e.o.Trouble(err)
		}
		for _, pid := range pids {
			list[pid] = children.Member{Unit: &s.Unit, Invocation: invocation}
		}
	}
	return list
}

// heldFIFO says whether somebody holds the log FIFO of s open. We do not yet.
func (e *Engine) heldFIFO(s *service) (sys.FileID, bool) {
	if e.logs == nil {
		return sys.FileID{}, false
	}
	path := filepath.Join(e.o.RuntimeDir, logDir, "fifo", s.Name())
	// ENXIO where nobody has it open for reading (fifo(7)), and a service has it for both.
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return sys.FileID{}, false
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return sys.FileID{}, false
	}
	return sys.FileIDOf(info), true
}

// find takes over a process that was found as the main one of s.
func (t *takeover) find(s *service, f children.Found) error {
	return t.e.procs.AdoptFound(&s.Unit, f, s.Spec().Cgroup, func() {
		starting, by := s.State() == Starting, "log"
		if f.InGroup {
			by = "control group"
		}
		s.Found(by, f.Started)
		if !starting && !slices.Contains(t.again, s) {
			t.again = append(t.again, s)
		}
	})
}
