package children

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// process is one of a system.
type process struct {
	parent, session int
	start           uint64
	invocation      string
	output          sys.FileID
	group           string
	dead            bool               // and not reaped
	status          syscall.WaitStatus // when it dies
	mine            bool               // of what the test started for a unit, or has come of that
}

// system is a kernel in which processes do what the test says. Numbers are given again.
type system struct {
	procs    map[int]*process
	clock    uint64
	strayed  []string // signals that have hit a stranger
	sent     []string // but for SIGCONT
	resumed  []int    // who was sent that
	groups   []int    // process groups that were signalled, by leader
	children error    // that they cannot be listed
	refused  int      // a process that may not be signalled
	unasked  error    // that whether a held one has ended cannot be asked
	watched  map[uint64]*held
	report   func([]sys.ExitEvent)
	noWatch  error
}

var us = os.Getpid()

// born makes a process with the lowest free number.
func (k *system) born(p process) int {
	pid := 100
	for k.procs[pid] != nil || pid == us {
		pid++
	}
	k.clock++
	p.start = k.clock
	if p.session == 0 {
		p.session = pid
	}
	k.procs[pid] = &p
	return pid
}

// reaper is who gets the children of a process that dies: we, if we are its ancestor, else init.
func (k *system) reaper(p *process) int {
	for p != nil && p.parent != us {
		p = k.procs[p.parent]
	}
	if p == nil {
		return 1
	}
	return us
}

// die ends a process: its children become ours or init's, and one of ours stays until it is reaped.
func (k *system) die(pid int) {
	p := k.procs[pid]
	if p == nil || p.dead {
		return
	}
	p.dead = true
	reaper := k.reaper(p)
	for _, child := range k.procs {
		if child.parent == pid {
			child.parent = reaper
		}
	}
	if p.parent != us {
		delete(k.procs, pid)
	}
	for key, h := range k.watched {
		if h.pid == pid && h.start == p.start {
			delete(k.watched, key)
			k.report([]sys.ExitEvent{{Key: key, Reaped: true}})
		}
	}
}

// pids are those of which say is true, in order.
func (k *system) pids(say func(*process) bool) (list []int) {
	for pid, p := range k.procs {
		if say(p) {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

func (k *system) signal(pid int, sig syscall.Signal) error {
	p := k.procs[pid]
	if p == nil || !p.mine || p.parent != us {
		k.strayed = append(k.strayed, fmt.Sprintf("%d %s", pid, sys.SignalName(sig)))
		return syscall.ESRCH
	}
	return k.deliver(pid, sig)
}

func (k *system) deliver(pid int, sig syscall.Signal) error {
	if pid == k.refused {
		return syscall.EPERM
	}
	if k.procs[pid].dead {
		return nil
	}
	if sig == syscall.SIGCONT {
		k.resumed = append(k.resumed, pid)
	} else {
		k.sent = append(k.sent, fmt.Sprintf("%d %s", pid, sys.SignalName(sig)))
	}
	if sig == syscall.SIGKILL {
		k.die(pid)
	}
	return nil
}

func (k *system) stat(pid int) (sys.ProcStat, error) {
	p := k.procs[pid]
	if p == nil {
		return sys.ProcStat{}, syscall.ESRCH
	}
	stat := sys.ProcStat{
		PID:       pid,
		PPID:      p.parent,
		Session:   p.session,
		StartTime: p.start,
		State:     'S',
	}
	if p.dead {
		stat.State = 'Z'
	}
	return stat, nil
}

func (k *system) descendants(pid int) (list []sys.ProcStat) {
	for child, p := range k.procs {
		if p.parent == pid {
			stat, _ := k.stat(child)
			list = append(append(list, stat), k.descendants(child)...)
		}
	}
	return list
}

// held is a process that is held by a pidfd.
type held struct {
	k     *system
	pid   int
	start uint64
}

func (h *held) alive() bool {
	p := h.k.procs[h.pid]
	return p != nil && p.start == h.start && !p.dead
}

func (h *held) ID() (uint64, error)   { return h.start, nil }
func (h *held) Exited() (bool, error) { return !h.alive(), h.k.unasked }
func (h *held) Close() error          { return nil }
func (h *held) ExitStatus() (syscall.WaitStatus, bool, error) {
	return 0, false, nil
}

func (h *held) Signal(sig syscall.Signal) error {
	if !h.alive() {
		return syscall.ESRCH
	}
	return h.k.deliver(h.pid, sig)
}

func (k *system) Add(h Handle, key uint64) error {
	k.watched[key] = h.(*held)
	return k.noWatch
}

func (k *system) Close() error { return nil }

func (k *system) kernel() *Kernel {
	return &Kernel{
		Dead: func() (int, error) {
			for _, pid := range k.pids(func(p *process) bool { return p.dead && p.parent == us }) {
				return pid, nil
			}
			return 0, nil
		},
		Reap: func(pid int) (Exit, bool, error) {
			if p := k.procs[pid]; p == nil || !p.dead || p.parent != us {
				return Exit{}, false, nil
			}
			x := Exit{Status: k.procs[pid].status, At: time.Now()}
			delete(k.procs, pid)
			return x, true, nil
		},
		Signal: k.signal,
		SignalGroup: func(leader int, sig syscall.Signal) error {
			k.groups = append(k.groups, leader)
			return k.signal(leader, sig)
		},
		SignalFound: func(found sys.ProcStat, sig syscall.Signal) error {
			if p := k.procs[found.PID]; p == nil || p.start != found.StartTime {
				return syscall.ESRCH
			}
			return k.deliver(found.PID, sig)
		},
		Children: func() ([]int, error) {
			return k.pids(func(p *process) bool { return p.parent == us && !p.dead }), k.children
		},
		Descendants: k.descendants,
		Stat:        k.stat,
		Cgroup: func(pid int) (string, error) {
			if k.procs[pid] == nil {
				return "", syscall.ESRCH
			}
			return k.procs[pid].group, nil
		},
		Environ: func(pid int) ([]string, error) {
			if k.procs[pid] == nil {
				return nil, syscall.ESRCH
			}
			return []string{"A=1", InvocationVariable + k.procs[pid].invocation}, nil
		},
		Outputs: func(pid int) []sys.FileID {
			if k.procs[pid] == nil {
				return nil
			}
			return []sys.FileID{k.procs[pid].output}
		},
		Memory:   func(pid int) (int64, error) { return int64(pid), nil },
		Identify: func(pid int) Identity { return Identity{PID: pid, Pidfd: k.procs[pid].start} },
		Hold: func(pid int) (Handle, error) {
			if k.procs[pid] == nil {
				return nil, syscall.ESRCH
			}
			return &held{k, pid, k.procs[pid].start}, nil
		},
		Exits: func(report func([]sys.ExitEvent)) (ExitWatch, error) {
			k.report = report
			return k, nil
		},
		Zombie: func(Handle, int) (syscall.WaitStatus, bool, error) {
			return 0, false, nil
		},
		Processes: func() (list []sys.ProcStat, err error) {
			for pid := range k.procs {
				stat, _ := k.stat(pid)
				list = append(list, stat)
			}
			return list, nil
		},
	}
}

// subject is a service that writes down what it is told.
type subject struct {
	Unit
	name  string
	told  []string
	ended int // main processes
	left  int // leftovers that have ended
}

func (s *subject) Name() string { return s.name }
func (s *subject) Died(Exit)    { s.Gone(); s.ended++ }
func (s *subject) Ending()      { s.told = append(s.told, "ending") }
func (s *subject) MainChanged() {
	s.told = append(s.told, fmt.Sprint("main ", s.pid))
}
func (s *subject) LeftoverDied() { s.left++ }
func (s *subject) CommandEnded() { s.told = append(s.told, "command ended") }
func (s *subject) Refused(pid int, err error) {
	s.told = append(s.told, fmt.Sprintf("%d: %v", pid, err))
}
func (s *subject) Trouble(err error) { s.told = append(s.told, err.Error()) }

// report is what the checks need of testing.T and rapid.T.
type report interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
}

// scene is a table on such a system, with services.
type scene struct {
	report
	*Table
	k        *system
	services []*subject
	troubles []string
}

func newScene(t report, names ...string) *scene {
	s := &scene{report: t, k: &system{procs: map[int]*process{}, watched: map[uint64]*held{}}}
	s.Table = New(s.k.kernel(), loop.New(errors.New("over")),
		func(err error) { s.troubles = append(s.troubles, err.Error()) })
	for _, name := range names {
		one := &subject{name: name}
		one.Unit = Unit{Service: one}
		s.services = append(s.services, one)
	}
	return s
}

// start starts the main process of a service.
func (s *scene) start(one *subject) int {
	s.Announce(&one.Unit, "")
	b := s.Expect()
	b.begin()
	pid := s.k.born(process{parent: us, invocation: one.invocation, mine: true})
	b.over(func() { b.Main(&one.Unit, s.kernel.Identify(pid), sys.FileID{}) })()
	return pid
}

// fork has a process make another one, in its session or in one of its own.
func (s *scene) fork(pid int, apart bool) int {
	p := *s.k.procs[pid]
	p.parent = pid
	if apart {
		p.session = 0
	}
	return s.k.born(p)
}

// command begins a helper command of a service, and returns what has the owner hear of it.
func (s *scene) command(
	one *subject, limit time.Duration, done func(error),
) (c *Command, pid int, started func()) {
	c = one.NewCommand(limit, done)
	b := s.Expect()
	b.begin()
	pid = s.k.born(process{parent: us, invocation: one.invocation, mine: true})
	return c, pid, b.over(func() { b.Started(c, pid) })
}

// orphan is what a main process has left behind as a child of ours.
func (s *scene) orphan(one *subject) int {
	return s.k.born(process{parent: us, session: us, invocation: one.invocation, mine: true})
}

// grouped gives a service a control group, whose directory is an ordinary one with these files.
func (s *scene) grouped(t *testing.T, one *subject, files map[string]string) {
	parent := &cgroup.Parent{Dir: t.TempDir(), Path: "/system/daemonry-1"}
	one.group = parent.Group(one.name, one.invocation)
	for name, text := range files {
		path := filepath.Join(one.group.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755),
			os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// adopted is a unit whose main process an earlier supervisor has started.
func (s *scene) adopted(one *subject) int {
	pid := s.k.born(process{parent: 1, invocation: "earlier", mine: true})
	id := s.kernel.Identify(pid)
	s.Recall(&one.Unit, "earlier", pid, id, nil)
	h, err := s.Prove(id)
	if err == nil {
		err = s.Adopt(&one.Unit, id, h, "")
	}
	if err != nil {
		s.Error(err)
	}
	return pid
}
