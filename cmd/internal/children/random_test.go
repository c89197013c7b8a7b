package children

import (
	"fmt"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/internal/sys"
)

// check holds what must always be true of the table as a whole.
func (s *scene) check() {
	s.Helper()
	places := map[int]int{}
	for pid, u := range s.mains {
		places[pid]++
		if u.pid != pid {
			s.Errorf("process %d is the main one of a unit whose main one is %d", pid, u.pid)
		}
	}
	for pid, c := range s.commands {
		places[pid]++
		if _, ok := c.unit.commands[c]; !ok || c.pid != pid {
			s.Errorf("command %d is not one of its unit's", pid)
		}
	}
	for pid, u := range s.leftovers {
		places[pid]++
		if u == nil {
			continue
		}
		if _, ok := u.leftovers[pid]; !ok {
			s.Errorf("leftover %d is not one of its unit's", pid)
		}
	}
	for pid := range s.programs {
		places[pid]++
	}
	for pid, n := range places {
		if n > 1 {
			s.Errorf("process %d has %d places in the table", pid, n)
		}
		// Nothing is in the table by a number that may be another's.
		p := s.k.procs[pid]
		if s.adoptions.byPID[pid] == nil && (p == nil || p.parent != us) {
			s.Errorf("process %d is no child, and not held", pid)
		}
	}
	for session, u := range s.sessions {
		if u.session != session {
			s.Errorf("session %d is that of a unit with session %d", session, u.session)
		}
	}
	for id, u := range s.invocations {
		if u.invocation != id {
			s.Errorf("invocation %s is that of a unit with invocation %q", id, u.invocation)
		}
	}
	for id, u := range s.outputs {
		if u.output != id {
			s.Errorf("output %v is that of a unit with output %v", id, u.output)
		}
	}
	for pid, u := range s.expected {
		if _, ok := u.expected[pid]; !ok {
			s.Errorf("process %d is expected for a unit that does not", pid)
		}
	}
	for key, a := range s.adoptions.byKey {
		if a.key != key {
			s.Errorf("adopted process %d has key %d, and is found by %d", a.PID, a.key, key)
		}
	}
	for _, one := range s.services {
		s.checkUnit(one)
	}
	if len(s.births.running) > s.births.expected {
		s.Errorf("%d births have begun, %d are expected", len(s.births.running), s.births.expected)
	}
	if len(s.k.strayed) > 0 {
		s.Errorf("strangers were signalled: %v", s.k.strayed)
	}
}

func (s *scene) checkUnit(one *subject) {
	u := &one.Unit
	if u.pid != 0 && s.mains[u.pid] != u && !s.isEnding(u) {
		s.Errorf("%s: process %d is not found", one.name, u.pid)
	}
	for pid := range u.leftovers {
		if s.leftovers[pid] != u {
			s.Errorf("%s: leftover %d is not its own", one.name, pid)
		}
	}
	for c := range u.commands {
		if c.pid != 0 && s.commands[c.pid] != c {
			s.Errorf("%s: command %d is not found", one.name, c.pid)
		}
	}
	if u.starting && s.births.expected == 0 {
		s.Errorf("%s: is starting, and nothing is expected", one.name)
	}
}

// isEnding says whether the main process of u was adopted and has ended, and its number is a
// child's already.
func (s *scene) isEnding(u *Unit) bool {
	for _, a := range s.adoptions.byKey {
		if a.unit == u && a.main && a.Identity == u.identity && !a.Handle.(*held).alive() {
			return true
		}
	}
	return false
}

// TestRandomTable has processes of a few services be born, fork, hide, die, and be told of, in any
// order, with numbers that are given again. After each step the whole table is right; at the end
// nothing of any unit lives that could be known to be its own, and each end was told once.
func TestRandomTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{scene: newScene(rt, "a", "b", "c"), rt: rt}
		rt.Repeat(map[string]func(*rapid.T){
			"start":      w.beginStart,
			"command":    w.beginCommand,
			"tell":       w.tell,
			"fork":       w.forkOne,
			"die":        w.dieOne,
			"stranger":   func(*rapid.T) { w.k.born(process{parent: 1}) },
			"reap":       func(*rapid.T) { w.Reap() },
			"look":       func(*rapid.T) { w.Look(w.any()) },
			"remember":   func(*rapid.T) { w.rememberOne() },
			"signal":     w.signalOne,
			"stop all":   func(*rapid.T) { u := w.any(); w.SignalRest(u, 1, syscall.SIGTERM) },
			"change":     w.change,
			"forget":     func(*rapid.T) { w.forget(w.any()) },
			"adopt":      w.adoptOne,
			"survey":     func(*rapid.T) { list, _ := w.lookAround(); w.adoptStrays(list) },
			"be refused": func(*rapid.T) { w.k.refused = w.anyPID() },
			"":           func(*rapid.T) { w.settle(); w.check() },
		})
		w.finish()
	})
}

// world is a scene whose steps are drawn.
type world struct {
	*scene
	rt    *rapid.T
	known []func() // births under way: what tells of each
	begun int      // main processes that there have been
}

func (w *world) settle() {
	for w.loop.Run() > 0 {
	}
}

func (w *world) service() *subject { return rapid.SampledFrom(w.services).Draw(w.rt, "service") }
func (w *world) any() *Unit        { return &w.service().Unit }

func (w *world) anyPID() int {
	pids := w.k.pids(func(p *process) bool { return p.mine && !p.dead })
	if len(pids) == 0 {
		return 0
	}
	return rapid.SampledFrom(pids).Draw(w.rt, "process")
}

func (w *world) beginStart(*rapid.T) {
	u := w.any()
	if !w.forget(u) {
		return
	}
	w.Announce(u, "")
	b := w.Expect()
	b.begin()
	if rapid.Bool().Draw(w.rt, "fails") {
		w.known = append(w.known, b.over(func() { b.None(u); w.Renounce(u) }))
		return
	}
	pid := w.k.born(process{parent: us, invocation: u.invocation, mine: true})
	id := w.kernel.Identify(pid)
	w.known = append(w.known, b.over(func() {
		w.begun++
		b.Main(u, id, sys.FileID{Inode: id.Pidfd})
		w.Prints(u, sys.FileID{Inode: id.Pidfd})
	}))
}

func (w *world) beginCommand(*rapid.T) {
	u := w.any()
	if u.pid == 0 {
		return
	}
	c := u.NewCommand(1<<40, func(error) {})
	b := w.Expect()
	b.begin()
	pid := w.k.born(process{parent: us, invocation: u.invocation, mine: true})
	w.known = append(w.known, b.over(func() { b.Started(c, pid) }))
}

// tell has the owner hear of a birth.
func (w *world) tell(*rapid.T) {
	if len(w.known) > 0 {
		f := w.known[0]
		w.known = w.known[1:]
		f()
	}
}

func (w *world) forkOne(*rapid.T) {
	if pid := w.anyPID(); pid != 0 {
		child := w.fork(pid, rapid.Bool().Draw(w.rt, "apart"))
		if rapid.Bool().Draw(w.rt, "hides") {
			// found by its session, or as a remembered descendant, or by nothing
			w.k.procs[child].invocation = ""
		}
	}
}

func (w *world) dieOne(*rapid.T) {
	if pid := w.anyPID(); pid != 0 {
		w.k.die(pid)
	}
}

func (w *world) rememberOne() {
	if u := w.any(); u.pid != 0 {
		w.Remember(u)
	}
}

func (w *world) signalOne(*rapid.T) {
	u := w.any()
	step := rapid.IntRange(1, 3).Draw(w.rt, "step")
	if u.pid != 0 {
		_ = w.Signal(u, syscall.SIGHUP)
		return
	}
	sig := rapid.SampledFrom([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}).Draw(w.rt,
		"signal")
	u.Killing = sig == syscall.SIGKILL
	w.SignalLeft(u, step, sig)
}

func (w *world) change(*rapid.T) {
	if pid := w.anyPID(); pid != 0 {
		w.ChangeMain(w.any(), pid)
	}
}

// forget ends a unit if nothing of it is left, and says whether it did.
func (w *world) forget(u *Unit) bool {
	if u.pid != 0 || u.starting || !w.Look(u) || !w.Empty(u) {
		return false
	}
	if err := w.Forget(u); err != nil {
		w.Error(err)
	}
	u.Killing = false
	w.Renounce(u)
	return true
}

// adoptOne has a unit whose process an earlier supervisor has started.
func (w *world) adoptOne(*rapid.T) {
	u := w.any()
	if !w.forget(u) {
		return
	}
	pid := w.k.born(process{parent: 1, invocation: fmt.Sprint("earlier", w.k.clock), mine: true})
	id := w.kernel.Identify(pid)
	w.Recall(u, w.k.procs[pid].invocation, pid, id, nil)
	if rapid.Bool().Draw(w.rt, "is gone") {
		w.k.die(pid)
	}
	w.begun++
	h, err := w.Prove(id)
	if err != nil {
		w.Lost(u)
		return
	}
	if err := w.Adopt(u, id, h, ""); err != nil {
		w.Error(err)
	}
}

// finish ends everything: all births are told, main processes die, and what they leave is killed
// until nothing is left.
func (w *world) finish() {
	w.k.refused = 0
	for len(w.known) > 0 {
		w.tell(nil)
	}
	for round := 0; round < 100; round++ {
		for _, one := range w.services {
			if one.pid != 0 {
				w.Remember(&one.Unit)
				_ = w.Signal(&one.Unit, syscall.SIGKILL)
			}
			one.Killing = true
			w.EndCommands(&one.Unit, true)
			if one.pid == 0 {
				w.Look(&one.Unit)
				w.SignalLeft(&one.Unit, 9, syscall.SIGKILL)
			}
		}
		w.Reap()
		list, _ := w.lookAround()
		w.adoptStrays(list)
		w.settle()
		w.check()
	}
	for _, one := range w.services {
		if one.pid != 0 || !w.Empty(&one.Unit) || one.starting {
			w.Errorf("%s: not empty: %+v", one.name, one.Unit)
		}
		left := w.k.pids(func(p *process) bool {
			return p.mine && !p.dead && p.invocation == one.invocation && p.invocation != ""
		})
		if len(left) > 0 {
			w.Errorf("%s: %v live, by whose environment they are known", one.name, left)
		}
		w.forget(&one.Unit)
	}
	w.check()
	ended := 0
	for _, one := range w.services {
		ended += one.ended
	}
	if ended != w.begun {
		w.Errorf("%d main processes have begun, and %d ends were told", w.begun, ended)
	}
	if !w.Idle() ||
		len(w.adoptions.byKey)+len(w.adoptions.byPID)+len(w.mains)+len(w.sessions)+
			len(w.invocations)+len(w.outputs)+len(w.expected) > 0 {
		w.Errorf("the table is not empty: %+v", w.Table)
	}
}
