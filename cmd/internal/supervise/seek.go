package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

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
	signs := signs{map[string]*service{}, map[fileID]*service{}, t.groups()}
	for _, s := range t.missing {
		starting := s.state == Starting
		if starting {
			signs.invocations[s.invoked] = s
		}
		if starting && !t.unsure[s.spec.Name] {
			continue
		}
		if id, held := t.e.heldFIFO(s); held {
			signs.outputs[id] = s
		}
	}
	if len(signs.invocations)+len(signs.outputs)+len(signs.groups) == 0 {
		return
	}
	list, err := t.e.kernel.processes()
	if err != nil {
		t.e.o.Trouble(fmt.Errorf("look for services that live: %w", err))
		return
	}
	found := map[*service]sys.ProcStat{}
	for _, stat := range list {
		if s := t.whose(stat, signs); s != nil {
			if other, ok := found[s]; !ok || stat.StartTime < other.StartTime {
				found[s] = stat
			}
		}
	}
	for s, stat := range found {
		if err := t.find(s, stat, signs); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.e.o.Trouble(fmt.Errorf("%s: not taken over: %w", s.spec.Name, err))
		}
	}
}

// signs are what processes that are sought are known by.
type signs struct {
	invocations map[string]*service
	outputs     map[fileID]*service
	groups      map[int]member // by pid
}

// member is a process in the control group of a start.
type member struct {
	service    *service
	invocation string
}

// groups are the processes in the control groups of services that may run although no record says
// so.
func (t *takeover) groups() map[int]member {
	list := map[int]member{}
	if len(t.doubtful) == 0 {
		return list
	}
	for _, g := range t.e.cgroups.Groups() {
		name, invocation := cgroup.StartAt(g.Path)
		if s := t.e.byName[name]; s == nil || !slices.Contains(t.doubtful, s) {
			continue
		}
		pids, err := g.Members()
		if err != nil {
			t.e.o.Trouble(err)
		}
		for _, pid := range pids {
			list[pid] = member{t.e.byName[name], invocation}
		}
	}
	return list
}

// heldFIFO says whether somebody holds the log FIFO of s open. We do not yet.
func (e *Engine) heldFIFO(s *service) (fileID, bool) {
	if e.logs == nil {
		return fileID{}, false
	}
	path := filepath.Join(e.o.RuntimeDir, logDir, "fifo", s.spec.Name)
	// ENXIO where nobody has it open for reading (fifo(7)), and a service has it for both.
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fileID{}, false
	}
	id, err := fileIDOf(f)
	return id, errors.Join(err, f.Close()) == nil
}

// whose says which service a process is the main one of, nil for none of those that are sought.
// Main processes lead their sessions; so do helper commands, which are known by MAINPID.
func (t *takeover) whose(stat sys.ProcStat, signs signs) *service {
	if stat.Session != stat.PID || stat.Exited() {
		return nil
	}
	environ, err := t.e.kernel.environ(stat.PID)
	if _, command := variable(environ, "MAINPID="); err != nil || command {
		return nil
	}
	id, _ := variable(environ, invocationVariable)
	if s := signs.invocations[id]; s != nil && id != "" {
		return s
	}
	if m, ok := signs.groups[stat.PID]; ok {
		m.service.invoked = m.invocation // a program may have written over its environment
		return m.service
	}
	if len(signs.outputs) == 0 {
		return nil
	}
	for _, id := range t.e.kernel.outputs(stat.PID) {
		if s := signs.outputs[id]; s != nil {
			return s
		}
	}
	return nil
}

// find takes over the process that stat shows as the main one of s.
func (t *takeover) find(s *service, stat sys.ProcStat, signs signs) error {
	e := t.e
	h, err := e.prove(identity{PID: stat.PID, Start: stat.StartTime})
	if err != nil {
		return err
	}
	id := identity{PID: stat.PID, Start: stat.StartTime}
	if ino, err := h.ID(); err == nil {
		id = identity{PID: stat.PID, Pidfd: ino}
	}
	s.inherited, s.session = true, stat.Session
	if at, err := sys.StartedAt(stat); err == nil {
		s.startedAt = at
	}
	if s.state != Starting {
		if isAlive(s.state) {
			e.alive--
		}
		e.placeState(s, Ready)
		s.since, s.reason = s.startedAt, "found alive by its log; what was known of it is lost"
		if s.invoked != "" && signs.groups[stat.PID].service == s {
			s.reason = "found alive by its control group; what was known of it is lost"
		}
		environ, _ := e.kernel.environ(stat.PID)
		if invoked, ok := variable(environ, invocationVariable); ok {
			s.invoked = invoked
		}
		if s.invoked != "" {
			e.byInvocation[s.invoked] = s
		}
		if !slices.Contains(t.again, s) {
			t.again = append(t.again, s)
		}
	}
	return t.claim(s, id, h)
}

// survey looks for processes of inherited services that are not children of ours, and so are on no
// list but that of all processes. It is done away from the owner; who asks while one is under way
// is served by the next.
type survey struct {
	running bool
	waiting []func()
	seen    map[identity]facts // of processes that were looked at before
}

// facts are what tells whose a process is. They are read once for each process.
type facts struct {
	invocation string
	outputs    []fileID
}

// stray is a process that may be one of ours.
type stray struct {
	sys.ProcStat
	facts
}

// survey runs then by the owner, after a look at all processes that began after this call.
func (e *Engine) survey(then func()) {
	v := &e.inheritance.survey
	v.waiting = append(v.waiting, then)
	e.nextSurvey()
}

func (e *Engine) nextSurvey() {
	v := &e.inheritance.survey
	if v.running || len(v.waiting) == 0 {
		return
	}
	v.running = true
	waiting := v.waiting
	v.waiting = nil
	e.work(func() func() {
		list, err := e.look()
		return func() {
			v.running = false
			if err != nil {
				e.o.Trouble(fmt.Errorf("look for processes left behind: %w", err))
			}
			e.inheritStrays(list)
			for _, f := range waiting {
				f()
			}
			e.nextSurvey()
		}
	})
}

// look reads what there is. Only the survey under way uses v.seen.
func (e *Engine) look() ([]stray, error) {
	list, err := e.kernel.processes()
	if err != nil {
		return nil, err
	}
	v := &e.inheritance.survey
	seen := make(map[identity]facts, len(list))
	var strays []stray
	for _, stat := range list {
		if stat.Exited() || stat.PPID == os.Getpid() || stat.PID == os.Getpid() {
			continue
		}
		id := identity{PID: stat.PID, Start: stat.StartTime}
		f, ok := v.seen[id]
		if !ok {
			environ, _ := e.kernel.environ(stat.PID) // what we may not look at is not known to be ours
			f.invocation, _ = variable(environ, invocationVariable)
			f.outputs = e.kernel.outputs(stat.PID)
		}
		seen[id] = f
		strays = append(strays, stray{stat, f})
	}
	v.seen = seen
	return strays, nil
}

// inheritStrays takes in those that belong to a service whose main process is gone.
func (e *Engine) inheritStrays(list []stray) {
	for _, p := range list {
		if e.byPID[p.PID] != nil || e.commands[p.PID] != nil || e.inheritance.byPID[p.PID] != nil {
			continue
		}
		s := e.attributeStray(p)
		if s == nil || !s.inherited || s.pid != 0 {
			continue
		}
		id := identity{PID: p.PID, Start: p.StartTime}
		h, err := e.prove(id)
		if err != nil {
			continue // it has ended
		}
		if err := e.inherit(s, id, h, false); err != nil {
			e.o.Trouble(errors.Join(fmt.Errorf("%s: process %d left behind: %w", s.spec.Name, p.PID, err), h.Close()))
			continue
		}
		e.own(p.PID, s)
	}
}

// attributeStray is attribute for a process that is no child of ours. Its session alone proves
// nothing: when all of the service's session have ended, its number may be given to a stranger's.
func (e *Engine) attributeStray(p stray) *service {
	if s := e.expected[p.PID]; s != nil && s.left.expected[p.PID] == p.StartTime {
		return s
	}
	if s := e.byInvocation[p.invocation]; s != nil && p.invocation != "" {
		return s
	}
	for _, output := range p.outputs {
		if s := e.byOutput[output]; s != nil {
			return s
		}
	}
	return nil
}

// signalHeir signals a process that is held, and says whether it is.
func (e *Engine) signalHeir(pid int, sig syscall.Signal) (held bool, err error) {
	r := e.inheritance.byPID[pid]
	if r == nil {
		return false, nil
	}
	return true, r.Signal(sig)
}
