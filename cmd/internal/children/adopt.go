package children

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
)

// Identity names a process of this boot and pid namespace for ever: its pid, and what no other
// process has that comes to the same number. That is the inode number of its pidfd (Linux 6.9), or
// else its start time.
type Identity struct {
	PID   int    `json:"pid"`
	Pidfd uint64 `json:"pidfd,omitzero"`
	Start uint64 `json:"start,omitzero"` // sys.ProcStat.StartTime
}

// adoptions are the processes of an earlier supervisor, which are not our children. Their ends are
// told by pidfds in one epoll set, and nothing is done to them but by pidfd: a pid of theirs may be
// another's at any time.
type adoptions struct {
	byPID map[int]*adopted
	byKey map[uint64]*adopted
	last  uint64 // key given
	watch ExitWatch
	taken int
}

// adopted is one of them, held fast.
type adopted struct {
	Identity
	Handle
	unit  *Unit
	key   uint64
	main  bool
	ended bool // but the kernel has yet to say how
}

// errStranger says that a pid belongs to another process than the one that was meant.
var errStranger = errors.New("its number belongs to another process by now")

// Prove holds the process that id names, if it is still there: else the error wraps ESRCH.
func (t *Table) Prove(id Identity) (Handle, error) {
	if id.PID <= 1 || id.Pidfd == 0 && id.Start == 0 {
		return nil, fmt.Errorf("%v: nothing is known of it to prove who it is", id)
	}
	h, err := t.kernel.Hold(id.PID)
	if errors.Is(err, errors.ErrUnsupported) && t.hasEnded(id) {
		err = syscall.ESRCH
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", id, err)
	}
	if err := t.same(h, id); err != nil {
		return nil, errors.Join(fmt.Errorf("%v: %w", id, err), h.Close())
	}
	return h, nil
}

// hasEnded says whether a process that cannot be held has certainly ended.
func (t *Table) hasEnded(id Identity) bool {
	stat, err := t.kernel.Stat(id.PID)
	if err != nil {
		return errors.Is(err, syscall.ESRCH)
	}
	return stat.Exited() || id.Start != 0 && stat.StartTime != id.Start
}

// same says whether the process that h holds is the one that id names. The order matters: it is
// held before it is looked at, so that what is seen is true of what is held, or of nobody.
func (t *Table) same(h Handle, id Identity) error {
	if id.Pidfd != 0 {
		ino, err := h.ID()
		if err == nil && ino != id.Pidfd {
			err = fmt.Errorf("%w (%w)", errStranger, syscall.ESRCH)
		}
		return err
	}
	stat, err := t.kernel.Stat(id.PID)
	if err == nil && stat.StartTime != id.Start {
		err = fmt.Errorf("%w (%w)", errStranger, syscall.ESRCH)
	}
	return err
}

// MayLive says whether the process that id names is there, or cannot be proven to be gone.
func (t *Table) MayLive(id Identity) bool {
	if id.PID == 0 {
		return false
	}
	h, err := t.Prove(id)
	if err == nil {
		exited, exitErr := h.Exited()
		_ = h.Close() // nothing was written to it
		return exitErr != nil || !exited
	}
	return !errors.Is(err, syscall.ESRCH)
}

// Recall gives a unit what an earlier supervisor has known it by, and what it has remembered of it.
// Its main process is not there before Adopt.
func (t *Table) Recall(
	u *Unit, invocation string, session int, main Identity, remembered []Identity,
) {
	u.invocation, u.session, u.identity, u.adopted = invocation, session, main, true
	if invocation != "" {
		t.invocations[invocation] = u
	}
	for _, id := range remembered {
		if id.Start != 0 {
			t.expect(u, id.PID, id.Start)
		}
	}
}

// Adopt makes the held process the main one of u, whose control group is below parent if it has
// one, and watches it. The handle is the table's from here on.
func (t *Table) Adopt(u *Unit, id Identity, h Handle, parent string) error {
	if stat, err := t.kernel.Stat(id.PID); err == nil && stat.PPID == os.Getpid() {
		u.adopted = false // we are the supervisor that started it, in another program
		if err := h.Close(); err != nil {
			return err
		}
	} else if err := t.watch(u, id, h, true); err != nil {
		return errors.Join(err, h.Close())
	}
	u.pid, u.identity = id.PID, id
	u.group = t.groupHolding(u, parent)
	if u.session == 0 {
		u.session = id.PID
	}
	t.mains[u.pid] = u
	t.sessions[u.session] = u
	if t.lives(id.PID) { // else it has ended, and nobody has reaped it yet
		t.adoptions.taken++
	}
	return nil
}

// Taken is how many main processes that lived were adopted.
func (t *Table) Taken() int { return t.adoptions.taken }

// groupHolding is the group that u must have, if its main process is in it.
func (t *Table) groupHolding(u *Unit, parent string) *cgroup.Group {
	g := t.groups.For(parent).Group(u.Service.Name(), u.invocation)
	if path, err := t.kernel.Cgroup(u.pid); err != nil || !g.Holds(path) {
		return nil // it was started without one
	}
	return g
}

// FindGroup finds the control group of a unit whose main process has ended: what that has left
// behind is in it.
func (t *Table) FindGroup(u *Unit, parent string) {
	g := t.groups.For(parent).Group(u.Service.Name(), u.invocation)
	if g == nil || u.invocation == "" {
		return
	}
	if _, err := os.Stat(g.Dir); err == nil {
		u.group = g
	}
}

// watch takes a held process in as one of u, and waits for its end.
func (t *Table) watch(u *Unit, id Identity, h Handle, main bool) error {
	in := &t.adoptions
	if in.watch == nil {
		watch, err := t.kernel.Exits(func(events []sys.ExitEvent) {
			t.loop.Post(func() {
				for _, ev := range events {
					t.adoptedEnded(ev)
				}
			})
		})
		if err != nil {
			return err
		}
		in.watch = watch
	}
	in.last++
	a := &adopted{Identity: id, Handle: h, unit: u, key: in.last, main: main}
	if err := in.watch.Add(h, a.key); err != nil {
		return err
	}
	t.release(id.PID) // a former main process that is to be the main one again is watched already
	in.byPID[id.PID], in.byKey[a.key] = a, a
	return nil
}

// letGo ends the watch over one.
func (in *adoptions) letGo(a *adopted) {
	delete(in.byKey, a.key)
	if in.byPID[a.PID] == a {
		delete(in.byPID, a.PID)
	}
	_ = a.Handle.Close() // nothing was written to it
}

func (in *adoptions) close() error {
	if in.watch == nil {
		return nil
	}
	err := in.watch.Close()
	for _, a := range in.byKey {
		in.letGo(a)
	}
	return err
}

// release gives a number up: it is that of a child of ours by now, or of one that is watched anew.
func (t *Table) release(pid int) {
	a := t.adoptions.byPID[pid]
	switch {
	case a == nil:
	case a.main: // its end is about to be told
		delete(t.adoptions.byPID, pid)
		delete(t.mains, pid)
	default:
		t.adoptions.letGo(a)
	}
}

// reapTime is how long the parent of a process that is not our child may take to reap it, where we
// may not trace it: until then the kernel does not tell us how it ended. An init may be slow at
// that; one that never does it must not keep a service down.
const reapTime = 3 * time.Second

// adoptedEnded takes note that one has ended, or that it has been reaped.
func (t *Table) adoptedEnded(ev sys.ExitEvent) {
	a := t.adoptions.byKey[ev.Key]
	if a == nil {
		return
	}
	if !a.main {
		t.adoptions.letGo(a)
		t.leftoverDied(a.PID)
		return
	}
	status, known, err := a.ExitStatus()
	if !known && err == nil && !ev.Reaped {
		status, known, err = t.kernel.Zombie(a.Handle, a.PID)
	}
	if known || err != nil || ev.Reaped {
		t.adoptedDied(a, Exit{Status: status, Unknown: !known, At: time.Now()})
		return
	}
	if a.ended {
		return
	}
	a.ended = true
	a.unit.Service.Ending()
	time.AfterFunc(reapTime, func() {
		t.loop.Post(func() {
			if t.adoptions.byKey[a.key] == a {
				t.adoptedEnded(sys.ExitEvent{Key: a.key, Reaped: true})
			}
		})
	})
}

func (t *Table) adoptedDied(a *adopted, x Exit) {
	u := a.unit
	t.adoptions.letGo(a)
	if t.mains[a.PID] == u { // else the number has been given to another one's since
		delete(t.mains, a.PID)
	}
	if u.identity == a.Identity {
		t.mainDied(u, x)
	}
}

// Lost says that the main process of a unit that was recalled has ended while nobody looked.
func (t *Table) Lost(u *Unit) { t.mainDied(u, Exit{Unknown: true, At: time.Now()}) }

// changeAdopted makes another process of a unit its main one, of which neither is our child.
func (t *Table) changeAdopted(u *Unit, pid int) {
	stat, err := t.kernel.Stat(pid)
	if err != nil {
		return
	}
	id := Identity{PID: pid, Start: stat.StartTime}
	h, err := t.Prove(id)
	if err == nil && t.unitOf(pid) != u { // asked again, now that it is held
		err = errors.Join(errStranger, h.Close())
	}
	if err != nil {
		return
	}
	// what is not watched could not be signalled safely either
	if err := t.watch(u, id, h, true); err != nil {
		t.trouble(errors.Join(fmt.Errorf("%s: main process %d: %w", u.Service.Name(), pid, err),
			h.Close()))
		return
	}
	if old := t.adoptions.byPID[u.pid]; old != nil {
		old.main = false
		t.keep(u.pid, u)
	}
	delete(t.mains, u.pid)
	u.nextMain = pid
	t.takeMain(u)
	u.identity = id
}

// lives says whether a pid that is known is still that of the process which is meant. That of a
// child is until it is reaped.
func (t *Table) lives(pid int) bool {
	a := t.adoptions.byPID[pid]
	if a == nil {
		return true
	}
	exited, err := a.Exited()
	return err == nil && !exited
}
