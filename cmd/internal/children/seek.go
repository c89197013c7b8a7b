package children

import (
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// Sought are the signs by which main processes are known that an earlier supervisor has started and
// of which no record says more.
type Sought struct {
	Invocations map[string]*Unit
	Outputs     map[sys.FileID]*Unit // that only a process of the unit can have
	Members     map[int]Member       // of the control groups of starts, by pid
}

// Member is a process in the control group of a start.
type Member struct {
	Unit       *Unit
	Invocation string
}

// Found is a main process that was sought.
type Found struct {
	Stat sys.ProcStat
	// Invocation is the id in its environment, or, with InGroup, that of its control group: a
	// program may have written over its environment.
	Invocation string
	InGroup    bool
	Started    time.Time // zero where it cannot be told
}

// Seek looks for them among all processes. Of several for a unit it is the one that was started
// first.
func (t *Table) Seek(s Sought) (map[*Unit]Found, error) {
	if len(s.Invocations)+len(s.Outputs)+len(s.Members) == 0 {
		return nil, nil
	}
	list, err := t.kernel.Processes()
	if err != nil {
		return nil, err
	}
	found := map[*Unit]Found{}
	for _, stat := range list {
		u, f := t.sought(stat, s)
		if u == nil {
			continue
		}
		if other, ok := found[u]; !ok || stat.StartTime < other.Stat.StartTime {
			f.Started, _ = sys.StartedAt(stat)
			found[u] = f
		}
	}
	return found, nil
}

// sought says which unit a process is the main one of, nil for none of those that are sought. Main
// processes lead their sessions; so do helper commands, which are known by MAINPID.
func (t *Table) sought(stat sys.ProcStat, s Sought) (*Unit, Found) {
	f := Found{Stat: stat}
	if stat.Session != stat.PID || stat.Exited() {
		return nil, f
	}
	environ, err := t.kernel.Environ(stat.PID)
	if _, command := Variable(environ, "MAINPID="); err != nil || command {
		return nil, f
	}
	f.Invocation, _ = Variable(environ, InvocationVariable)
	if u := s.Invocations[f.Invocation]; u != nil && f.Invocation != "" {
		return u, f
	}
	if m, ok := s.Members[stat.PID]; ok {
		f.InGroup = true
		if f.Invocation == "" {
			f.Invocation = m.Invocation
		}
		return m.Unit, f
	}
	if len(s.Outputs) == 0 {
		return nil, f
	}
	for _, id := range t.kernel.Outputs(stat.PID) {
		if u := s.Outputs[id]; u != nil {
			return u, f
		}
	}
	return nil, f
}

// AdoptFound adopts a process that was found. It calls proven when that has proven to be there
// still.
func (t *Table) AdoptFound(u *Unit, f Found, parent string, proven func()) error {
	id := Identity{PID: f.Stat.PID, Start: f.Stat.StartTime}
	h, err := t.Prove(id)
	if err != nil {
		return err
	}
	if ino, err := h.ID(); err == nil {
		id = Identity{PID: id.PID, Pidfd: ino}
	}
	proven()
	u.adopted, u.session = true, f.Stat.Session
	if f.Invocation != "" {
		u.invocation = f.Invocation
		t.invocations[f.Invocation] = u
	}
	return t.Adopt(u, id, h, parent)
}

// Born is the main process of the start with an invocation id, with its session; zero if there is
// none.
func (t *Table) Born(invocation string) (id Identity, session int, err error) {
	one := &Unit{}
	found, err := t.Seek(Sought{Invocations: map[string]*Unit{invocation: one}})
	if f, ok := found[one]; ok {
		return Identity{PID: f.Stat.PID, Start: f.Stat.StartTime}, f.Stat.Session, err
	}
	return Identity{}, 0, err
}
