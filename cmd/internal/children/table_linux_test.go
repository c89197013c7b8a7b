package children

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/sys"
)

// What has been reaped is not signalled, nor is any number that means no one process.
func TestNoChildIsNotSignalled(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	s.k.die(pid)
	s.Reap()
	if one.ended != 1 {
		t.Fatalf("its end was told %d times", one.ended)
	}
	for _, pid := range []int{pid, 0, 1, -1, -pid} {
		if err := s.signal(pid, syscall.SIGKILL); !errors.Is(err, errNotChild) {
			t.Errorf("%d: %v", pid, err)
		}
		if err := s.signalGroup(pid, syscall.SIGKILL); !errors.Is(err, errNotChild) {
			t.Errorf("group %d: %v", pid, err)
		}
	}
	if len(s.k.strayed)+len(s.k.sent) > 0 {
		t.Errorf("signalled: %v", s.k.strayed)
	}
}

// A descendant seen when the stop began may have ended, and its number may be another's.
func TestRememberedWhoseNumberPassedOn(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	mine, other := s.fork(pid, true), s.fork(pid, true)
	s.Remember(&one.Unit)
	s.k.die(other)
	if stranger := s.k.born(process{parent: 1}); stranger != other {
		t.Fatalf("the number %d was not given again", other)
	}
	s.SignalRest(&one.Unit, 1, syscall.SIGTERM)
	if !slices.Equal(s.k.sent, []string{"101 SIGTERM"}) || mine != 101 {
		t.Errorf("sent %v", s.k.sent)
	}
	s.SignalRest(&one.Unit, 1, syscall.SIGTERM)
	if len(s.k.sent) != 1 {
		t.Error("told twice in one step:", s.k.sent)
	}
	s.SignalRest(&one.Unit, 2, syscall.SIGINT)
	if len(s.k.sent) != 2 {
		t.Error("not told in the next step:", s.k.sent)
	}
	s.check()
}

// A session's number is given again when all of the session have ended: whoever leads a session of
// that number is none of the unit.
func TestSessionWhoseNumberPassedOn(t *testing.T) {
	s := newScene(t, "s", "other")
	one := s.services[0]
	pid := s.start(one)
	left := s.fork(pid, true)
	s.k.procs[left].invocation = ""
	s.k.die(pid)
	s.Reap()
	one.Killing = true // of what is left, whoever is found
	b := s.Expect()
	b.begin()
	newborn := s.k.born(process{parent: us, mine: true})
	if newborn != pid {
		t.Fatalf("the number %d was not given again", pid)
	}
	s.Look(&one.Unit)
	if u, _ := s.Speaker(newborn); u != nil || len(s.k.sent) > 0 {
		t.Errorf("one that is just being started was taken for a leftover of %v; sent %v",
			u, s.k.sent)
	}
	b.over(func() { b.None(nil) })()
	s.check()
}

// What one process may not be signalled is told, and the others are signalled.
func TestRefused(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	s.k.refused = s.fork(pid, false)
	s.fork(pid, false)
	s.k.die(pid)
	s.Reap()
	s.Look(&one.Unit)
	if n := s.SignalLeft(&one.Unit, 1, syscall.SIGTERM); n != 1 {
		t.Errorf("%d were signalled", n)
	}
	if len(one.told) != 1 || !strings.HasPrefix(one.told[0], "101: ") {
		t.Error(one.told)
	}
	if n := s.SignalLeft(&one.Unit, 1, syscall.SIGTERM); n != 0 {
		t.Errorf("%d were signalled twice in one step", n)
	}
}

// Whoever has a control group of their own can make one below it that is called as a unit's is:
// that makes them no part of it.
func TestGroupOfAStranger(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.start(one)
	parent := &cgroup.Parent{Dir: t.TempDir(), Path: "/system/daemonry-1"}
	one.group = parent.Group("s", one.invocation)
	stranger := s.k.born(process{parent: 1})
	for path, theirs := range map[string]*Unit{
		one.group.Path: &one.Unit, one.group.Path + "/worker": &one.Unit,
		"/user" + one.group.Path: nil, one.group.Path + "x": nil,
		"/user/" + filepath.Base(one.group.Path): nil,
	} {
		s.k.procs[stranger].group = path
		if u, err := s.groupOwner(stranger); u != theirs || err != nil {
			t.Errorf("%s: %v, %v", path, u, err)
		}
		if u, _ := s.Speaker(stranger); u != theirs {
			t.Errorf("%s speaks for %v", path, u)
		}
		if proven := s.Proof(&one.Unit)(stranger); proven != (theirs != nil) {
			t.Errorf("%s: proven: %v", path, proven)
		}
	}
	one.group = nil
}

// A main process that is announced and cannot be watched is not made one: it could not be signalled
// safely.
func TestAdoptedThatCannotBeWatched(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.k.born(process{parent: 1, invocation: "inv", mine: true})
	id := s.kernel.Identify(pid)
	s.Recall(&one.Unit, "inv", pid, id, nil)
	h, err := s.Prove(id)
	if err := errors.Join(err, s.Adopt(&one.Unit, id, h, "")); err != nil {
		t.Fatal(err)
	}
	next := s.fork(pid, false)
	s.k.noWatch = errors.New("no more can be watched")
	s.ChangeMain(&one.Unit, next)
	if one.PID() != pid || s.mains[next] != nil {
		t.Errorf("the main process is %d", one.PID())
	}
	if len(s.troubles) != 1 || !strings.Contains(s.troubles[0], "s: main process 101: ") {
		t.Error(s.troubles)
	}
	s.k.noWatch = nil
	s.ChangeMain(&one.Unit, next)
	if one.PID() != next || !one.HasLeftovers() {
		t.Errorf("the main process is %d", one.PID())
	}
	s.check()
}

// Of a process of which nothing is known but its number nobody can prove who it is; and one with
// the same number and another identity is another one.
func TestProve(t *testing.T) {
	s := newScene(t)
	pid := s.k.born(process{parent: 1})
	right := s.kernel.Identify(pid)
	for _, test := range []struct {
		id    Identity
		gone  bool // for certain
		lives bool // or may
	}{
		{id: right, lives: true},
		{id: Identity{PID: pid, Start: right.Pidfd}, lives: true},
		{id: Identity{PID: pid}, lives: true},
		{id: Identity{PID: pid, Pidfd: right.Pidfd + 1}, gone: true},
		{id: Identity{PID: pid, Start: right.Pidfd + 1}, gone: true},
		{id: Identity{PID: pid + 1, Start: 1}, gone: true},
		{id: Identity{}},
	} {
		_, err := s.Prove(test.id)
		if errors.Is(err, syscall.ESRCH) != test.gone {
			t.Errorf("%+v: %v", test.id, err)
		}
		if lives := s.MayLive(test.id); lives != test.lives {
			t.Errorf("%+v may live: %v", test.id, lives)
		}
	}
}

// TestFoundAndGone: of a process that was found and has ended meanwhile, or whose number is
// another's, nothing is said.
func TestFoundAndGone(t *testing.T) {
	for name, lives := range map[string]bool{"alive": true, "gone": false} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "s")
			u := &s.services[0].Unit
			pid := s.k.born(process{parent: 1, invocation: "one"})
			found, err := s.Seek(Sought{Invocations: map[string]*Unit{"one": u}})
			if err != nil || found[u].Stat.PID != pid {
				t.Fatal(found, err)
			}
			if !lives {
				s.k.die(pid)
				s.k.born(process{parent: 1})
			}
			proven := false
			err = s.AdoptFound(u, found[u], "", func() { proven = true })
			if proven != lives || (err == nil) != lives || (u.PID() == pid) != lives {
				t.Errorf("proven: %v, main process %d, error %v", proven, u.PID(), err)
			}
		})
	}
}

// TestSeek: a main process is known by each of its signs, the first of a unit counts, and helper
// commands are none.
func TestSeek(t *testing.T) {
	s := newScene(t, "env", "group", "log")
	byEnv, inGroup, byLog := &s.services[0].Unit, &s.services[1].Unit, &s.services[2].Unit
	first := s.k.born(process{parent: 1, invocation: "one"})
	s.k.born(process{parent: 1, invocation: "one"})
	member := s.k.born(process{parent: 1})
	output := sys.FileID{Device: 1, Inode: 2}
	s.k.born(process{parent: 1, output: output, session: 99}) // leads no session
	printer := s.k.born(process{parent: 1, output: output})
	s.k.born(process{parent: 1, invocation: "other"})
	found, err := s.Seek(Sought{
		Invocations: map[string]*Unit{"one": byEnv}, Outputs: map[sys.FileID]*Unit{output: byLog},
		Members: map[int]Member{member: {inGroup, "two"}},
	})
	if err != nil || len(found) != 3 {
		t.Fatal(found, err)
	}
	if f := found[byEnv]; f.Stat.PID != first || f.InGroup {
		t.Errorf("%+v", f)
	}
	if f := found[inGroup]; f.Stat.PID != member || !f.InGroup || f.Invocation != "two" {
		t.Errorf("%+v", f)
	}
	if f := found[byLog]; f.Stat.PID != printer {
		t.Errorf("%+v", f)
	}
	environ := s.kernel.Environ
	s.kernel.Environ = func(pid int) ([]string, error) {
		list, err := environ(pid)
		return append(list, "MAINPID=1"), err
	}
	if found, err := s.Seek(Sought{Invocations: map[string]*Unit{"one": byEnv}}); len(found) != 0 ||
		err != nil {
		t.Error("helper commands were found:", found, err)
	}
	s.kernel.Environ = environ
	if id, session, err := s.Born("one"); id.PID != first || session != first || err != nil {
		t.Error(id, session, err)
	}
	if id, _, err := s.Born(""); id.PID != 0 || err != nil {
		t.Error("born of nothing:", id, err)
	}
}

// A dead child of which nobody knows anything, and that no birth can be, is reaped.
func TestUnknownDead(t *testing.T) {
	s := newScene(t)
	pid := s.k.born(process{parent: us})
	s.k.die(pid)
	if s.Reap(); s.k.procs[pid] != nil {
		t.Error("it stays a zombie")
	}
}

// Who dies before its pid is told stays until it is, and its end is told then.
func TestDeadBeforeItIsKnown(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.Announce(&one.Unit, "")
	b := s.Expect()
	b.begin()
	pid := s.k.born(process{parent: us, invocation: one.invocation, mine: true})
	id := s.kernel.Identify(pid)
	s.k.die(pid)
	if s.Reap(); s.k.procs[pid] == nil || one.ended != 0 {
		t.Fatal("reaped before anybody knew whose it was")
	}
	b.over(func() { b.Main(&one.Unit, id, sys.FileID{}) })()
	if s.k.procs[pid] != nil || one.ended != 1 {
		t.Errorf("told %d times", one.ended)
	}
}

// What was taken for a leftover before it was known whose start it is, is none.
func TestNewbornIsNoLeftover(t *testing.T) {
	s := newScene(t, "s", "other")
	one, other := s.services[0], s.services[1]
	s.Announce(&one.Unit, "")
	b := s.Expect()
	b.begin()
	pid := s.k.born(process{parent: us, invocation: one.invocation, mine: true})
	s.keep(pid, &other.Unit)
	b.over(func() { b.Main(&one.Unit, s.kernel.Identify(pid), sys.FileID{}) })()
	if other.HasLeftovers() || one.PID() != pid {
		t.Error("it is a leftover still")
	}
	s.check()
}

// The end of a process that is the main one no more is not told as the main one's.
func TestEndOfAFormerMain(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.adopted(one)
	next := s.fork(pid, false)
	s.k.die(pid)   // told only when the loop runs
	s.release(pid) // its number is a child's
	s.k.procs[next].parent = 1
	s.sessions[one.session] = &one.Unit
	s.ChangeMain(&one.Unit, next)
	if one.PID() != next {
		t.Fatal("the main process is", one.PID())
	}
	if s.loop.Run(); one.ended != 0 || one.PID() != next {
		t.Errorf("told %d times", one.ended)
	}
}

// A process that the main one has named takes its place: at once if it is our child, else when the
// main one has ended; what was the main one is a leftover then.
func TestChangeMain(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	next := s.fork(pid, false)
	s.ChangeMain(&one.Unit, next)
	if one.PID() != pid {
		t.Fatal("one that is not our child became the main process")
	}
	s.k.die(pid)
	if s.Reap(); one.PID() != next || one.ended != 0 {
		t.Fatalf("the main process is %d, told %d times", one.PID(), one.ended)
	}
	s.k.born(process{parent: 1}) // has the number of the first
	last := s.fork(next, false)
	s.k.procs[last].parent = us
	s.ChangeMain(&one.Unit, last)
	if _, left := one.leftovers[next]; one.PID() != last || !left {
		t.Errorf("the main process is %d; the former one is left: %v", one.PID(), left)
	}
	s.check()
}

// A unit is not empty while a helper command runs, and who is found while all is to be killed is.
func TestEmpty(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	c := one.NewCommand(time.Hour, func(error) {})
	b := s.Expect()
	b.begin()
	command := s.k.born(process{parent: us, mine: true})
	b.over(func() { b.Started(c, command) })()
	left := s.fork(pid, false)
	s.k.die(pid)
	s.Reap()
	one.Killing = true
	if s.Look(&one.Unit); s.Empty(&one.Unit) ||
		!slices.Equal(s.k.sent, []string{fmt.Sprint(left, " SIGKILL")}) {
		t.Errorf("sent %v", s.k.sent)
	}
	if s.Reap(); s.Empty(&one.Unit) {
		t.Error("empty, and a command runs")
	}
	s.k.die(command)
	if s.Reap(); !s.Empty(&one.Unit) {
		t.Error("not empty")
	}
}

func TestSignalFound(t *testing.T) {
	cmd := exec.Command("sleep", "99")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stat, err := sys.ReadStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := stat
	other.StartTime--
	if err := signalFound(other, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("with another start time: %v", err)
	}
	for _, pid := range []int{0, -1, -os.Getpid()} {
		if err := signalFound(sys.ProcStat{PID: pid}, syscall.SIGKILL); err == nil {
			t.Errorf("%d was signalled", pid)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := signalFound(stat, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
		if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("ended by %v", cmd.ProcessState)
		}
	case <-ctx.Done():
		t.Error("not signalled")
		_ = cmd.Process.Kill()
		<-ended
	}
}
