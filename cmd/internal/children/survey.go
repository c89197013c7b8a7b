package children

import (
	"errors"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// survey looks for processes of adopted units that are not children of ours, and so are on no list
// but that of all processes. It is done away from the owner; who asks while one is under way is
// served by the next.
type survey struct {
	running bool
	waiting []func()
	seen    map[Identity]signs // of processes that were looked at before
}

// signs are what tells whose a process is. They are read once for each process.
type signs struct {
	invocation string
	outputs    []sys.FileID
}

// stray is a process that may be one of ours.
type stray struct {
	sys.ProcStat
	signs
}

// Survey runs then by the owner, after a look at all processes that began after this call. It is
// for adopted units, before Left and Empty can tell of them.
func (t *Table) Survey(then func()) {
	t.survey.waiting = append(t.survey.waiting, then)
	t.nextSurvey()
}

func (t *Table) nextSurvey() {
	v := &t.survey
	if v.running || len(v.waiting) == 0 {
		return
	}
	v.running = true
	waiting := v.waiting
	v.waiting = nil
	t.loop.Work(func() func() {
		list, err := t.lookAround()
		return func() {
			v.running = false
			if err != nil {
				t.trouble(fmt.Errorf("look for processes left behind: %w", err))
			}
			t.adoptStrays(list)
			for _, f := range waiting {
				f()
			}
			t.nextSurvey()
		}
	})
}

// lookAround reads what there is. Only the survey under way uses seen.
func (t *Table) lookAround() ([]stray, error) {
	list, err := t.kernel.Processes()
	if err != nil {
		return nil, err
	}
	v := &t.survey
	seen := make(map[Identity]signs, len(list))
	var strays []stray
	for _, stat := range list {
		if stat.Exited() || stat.PPID == os.Getpid() || stat.PID == os.Getpid() {
			continue
		}
		id := Identity{PID: stat.PID, Start: stat.StartTime}
		s, ok := v.seen[id]
		if !ok {
			// what we may not look at is not known to be ours
			s.invocation, _ = t.kernel.invocation(stat.PID)
			s.outputs = t.kernel.Outputs(stat.PID)
		}
		seen[id] = s
		strays = append(strays, stray{stat, s})
	}
	v.seen = seen
	return strays, nil
}

// adoptStrays takes in those that belong to an adopted unit whose main process is gone.
func (t *Table) adoptStrays(list []stray) {
	for _, p := range list {
		if t.mains[p.PID] != nil || t.commands[p.PID] != nil || t.adoptions.byPID[p.PID] != nil {
			continue
		}
		u := t.whose(p)
		if u == nil || !u.adopted || u.pid != 0 {
			continue
		}
		id := Identity{PID: p.PID, Start: p.StartTime}
		h, err := t.Prove(id)
		if err != nil {
			continue // it has ended
		}
		if err := t.watch(u, id, h, false); err != nil {
			t.trouble(errors.Join(
				fmt.Errorf("%s: process %d left behind: %w", u.Service.Name(), p.PID, err),
				h.Close(),
			))
			continue
		}
		t.keep(p.PID, u)
	}
}

// whose is attribute for a process that is no child of ours. Its session alone proves nothing: when
// all of the unit's session have ended, its number may be given to a stranger's.
func (t *Table) whose(p stray) *Unit {
	if u := t.expected[p.PID]; u != nil && u.expected[p.PID] == p.StartTime {
		return u
	}
	if u := t.invocations[p.invocation]; u != nil { // "" is nobody's
		return u
	}
	for _, output := range p.outputs {
		if u := t.outputs[output]; u != nil {
			return u
		}
	}
	return nil
}
