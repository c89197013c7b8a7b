package children

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// end has a service end, of which nothing is left.
func (s *scene) end(one *subject) {
	s.k.die(one.PID())
	s.Reap()
	if err := s.Forget(&one.Unit); err != nil {
		s.Error(err)
	}
	s.Renounce(&one.Unit)
}

// TestLeftoverIsSignalled: it is told once in a step, unless it is to be killed, and continued; and
// who is given its number is told itself.
func TestLeftoverIsSignalled(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.start(one)
	left := s.orphan(one)
	s.Look(&one.Unit)
	s.SignalLeft(&one.Unit, 1, syscall.SIGTERM)
	s.SignalLeft(&one.Unit, 1, syscall.SIGTERM)
	if len(s.k.sent) != 1 || !slices.Equal(s.k.resumed, []int{left}) {
		t.Errorf("sent %v, continued %v", s.k.sent, s.k.resumed)
	}
	s.k.die(left)
	if s.Reap(); one.left != 1 {
		t.Errorf("its end was told %d times", one.left)
	}
	if again := s.orphan(one); again != left {
		t.Fatalf("the number %d was not given again", left)
	}
	s.Look(&one.Unit)
	s.k.refused = left
	s.SignalLeft(&one.Unit, 1, syscall.SIGKILL)
	s.k.refused = 0
	if n := s.SignalLeft(&one.Unit, 1, syscall.SIGKILL); n != 1 {
		t.Error("not killed")
	}
	s.Reap()
	if s.orphan(one); !s.Look(&one.Unit) || s.SignalLeft(&one.Unit, 1, syscall.SIGTERM) != 1 {
		t.Error("it is taken for the one that had its number")
	}
}

// TestNewRunIsTold: nothing of a run is that of the next one.
func TestNewRunIsTold(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	next := s.fork(pid, true)
	s.ChangeMain(&one.Unit, next)
	s.Remember(&one.Unit)
	s.SignalRest(&one.Unit, 1, syscall.SIGTERM)
	s.k.die(next)
	if s.end(one); one.ended != 1 || one.Session() != 0 {
		t.Errorf("its end was told %d times; session %d", one.ended, one.Session())
	}
	s.start(one)
	again := s.orphan(one)
	if s.Look(&one.Unit); again != next || s.SignalLeft(&one.Unit, 1, syscall.SIGINT) != 1 {
		t.Error("it is taken for the one that had its number")
	}
	s.k.die(one.PID())
	if s.Reap(); one.ended != 2 || one.PID() != 0 {
		t.Errorf("told %d times; the main process is %d", one.ended, one.PID())
	}
}

// TestNewRunIsOurs: what is started after an adopted run is our child.
func TestNewRunIsOurs(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.gone(one)
	if s.Announce(&one.Unit, ""); one.Adopted() {
		t.Error("adopted")
	}
}

// TestLeftoverBesideACommand: while a helper command runs that is known, others are found.
func TestLeftoverBesideACommand(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.start(one)
	_, _, started := s.command(one, time.Hour, func(error) {})
	started()
	left := s.orphan(one)
	s.Look(&one.Unit)
	if _, has := one.leftovers[left]; !has || len(one.leftovers) != 1 {
		t.Error(one.leftovers)
	}
}

// TestForgetLeavesWhatIsAnothers: a session, an output and a descendant of the same number.
func TestForgetLeavesWhatIsAnothers(t *testing.T) {
	s := newScene(t, "s", "other")
	one, other := s.services[0], s.services[1]
	pid := s.start(one)
	child := s.fork(pid, true)
	s.Remember(&one.Unit)
	output := sys.FileID{Inode: 3}
	s.Prints(&one.Unit, output)
	s.k.die(child)
	s.k.die(pid)
	s.Reap()
	if s.start(other) != pid || s.fork(pid, true) != child {
		t.Fatal("the numbers were not given again")
	}
	s.Prints(&other.Unit, output)
	s.Remember(&other.Unit)
	s.end(one)
	if u := &other.Unit; s.sessions[pid] != u || s.outputs[output] != u || s.expected[child] != u {
		t.Error(s.sessions, s.outputs, s.expected)
	}
	s.check()
}

// TestWhoPrints: who prints into what only a unit prints into is one of it; and into nothing,
// nobody's.
func TestWhoPrints(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	output := sys.FileID{Inode: 3}
	s.Prints(&one.Unit, sys.FileID{})
	nobodys := s.k.born(process{parent: us, session: us})
	s.Look(&one.Unit)
	if u, known := s.leftovers[nobodys]; u != nil || !known {
		t.Error("one that prints into nothing is of", u)
	}
	s.Prints(&one.Unit, output)
	printer := s.k.born(process{parent: us, session: us, output: output})
	s.Look(&one.Unit)
	if _, left := one.leftovers[printer]; !left {
		t.Error("one that prints into its output is not of it")
	}
}

// TestWhoWasRemembered: a process is known by its number and start time, not by the number.
func TestWhoWasRemembered(t *testing.T) {
	for _, same := range []bool{true, false} {
		s := newScene(t, "s")
		one := s.services[0]
		pid := s.start(one)
		child := s.fork(pid, true)
		s.k.procs[child].invocation = ""
		s.Remember(&one.Unit)
		s.k.die(pid)
		if !same {
			s.k.procs[child].start++
		}
		s.Reap()
		if s.Look(&one.Unit); one.HasLeftovers() != same {
			t.Errorf("the same: %v, a leftover: %v", same, !same)
		}
	}
}

// TestLookBesideTheDead: who is gone when it is looked at does not keep others from being seen.
func TestLookBesideTheDead(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.start(one)
	left := s.orphan(one)
	children := s.kernel.Children
	s.kernel.Children = func() ([]int, error) {
		list, err := children()
		return append([]int{999}, list...), err
	}
	if _, has := one.leftovers[left]; has || !s.Look(&one.Unit) || len(one.leftovers) != 1 {
		t.Error(one.leftovers, one.told)
	}
}

// TestMemory is that of the main process, its descendants and its leftovers.
func TestMemory(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	child := s.fork(s.fork(pid, true), true)
	left := s.orphan(one)
	s.Look(&one.Unit)
	want := int64(pid + child - 1 + child + left) // the kernel of the tests says their numbers
	memory := s.Memory(&one.Unit)
	for range 2 {
		if n, err := memory(); n != want || err != nil {
			t.Errorf("%d, want %d; %v", n, want, err)
		}
	}
}

// TestProofOfNothing: a unit without an invocation id does not own who has none.
func TestProofOfNothing(t *testing.T) {
	s := newScene(t, "s")
	stranger := s.k.born(process{parent: 1})
	if s.Proof(&s.services[0].Unit)(stranger) {
		t.Error("proven")
	}
}

// TestChangeMainIdentity: the new main process is another one.
func TestChangeMainIdentity(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.start(one)
	next := s.orphan(one)
	s.Look(&one.Unit)
	s.ChangeMain(&one.Unit, next)
	if one.PID() != next || one.Identity() != s.kernel.Identify(next) {
		t.Error(one.PID(), one.Identity())
	}
}

// TestGroupMembers: who is in the group is left behind, but for the main process; and of who is
// known otherwise the end will be told.
func TestGroupMembers(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	left := s.orphan(one)
	s.Look(&one.Unit)
	procs := strconv.Itoa(pid) + "\n" + strconv.Itoa(left) + "\n4000000\n"
	s.grouped(t, one, map[string]string{"cgroup.procs": procs, "cgroup.events/x": ""})
	got, want := s.Left(&one.Unit), map[int]bool{left: false, 4000000: true}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	s.k.die(left)
	if s.Reap(); s.Empty(&one.Unit) || len(one.told) != 1 {
		t.Error("empty, and its events cannot be read", one.told)
	}
}

// TestGroupIsKilledBesideCommands: the group is killed as a whole only if no helper command is in
// it.
func TestGroupIsKilledBesideCommands(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.start(one)
	s.grouped(t, one, map[string]string{"cgroup.procs": "", "cgroup.kill": ""})
	_, pid, started := s.command(one, time.Hour, func(error) {})
	started()
	for _, want := range []string{"", "1"} {
		s.SignalLeft(&one.Unit, 1, syscall.SIGKILL)
		b, err := os.ReadFile(filepath.Join(one.group.Dir, "cgroup.kill"))
		if string(b) != want || err != nil {
			t.Errorf("%q, want %q; %v %v", b, want, err, one.told)
		}
		s.k.die(pid)
		s.Reap()
	}
}

// TestCommandInItsGroup: until its pid is known it is nobody's; then it speaks as a helper, and
// what it has started as the unit's; and it is not made the main process.
func TestCommandInItsGroup(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	main := s.start(one)
	s.grouped(t, one, nil)
	_, pid, started := s.command(one, time.Hour, func(error) {})
	s.k.procs[pid].group = one.group.Path + "/command"
	child := s.fork(pid, false)
	if u, _ := s.Speaker(pid); u != nil {
		t.Error("it speaks for the unit before it is known")
	}
	started()
	if u, role := s.Speaker(pid); u != &one.Unit || role != Helper {
		t.Error(u, role)
	}
	if u, role := s.Speaker(child); u != &one.Unit || role != Other {
		t.Error(u, role)
	}
	s.ChangeMain(&one.Unit, pid)
	s.k.die(main)
	if s.Reap(); one.PID() != 0 || one.ended != 1 {
		t.Errorf("the main process is %d, told %d times", one.PID(), one.ended)
	}
}

// TestCommandOfTheAdopted: a helper command is not made the main process of an adopted unit.
func TestCommandOfTheAdopted(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	main := s.adopted(one)
	s.grouped(t, one, nil)
	_, pid, started := s.command(one, time.Hour, func(error) {})
	s.k.procs[pid].group = one.group.Path + "/command"
	started()
	if s.ChangeMain(&one.Unit, pid); one.PID() != main {
		t.Error("it is the main process")
	}
	s.check()
}

// TestCommandWithTheNumberOfTheSession: when the first main process and its session have ended, a
// helper command may be given the number. It is no leftover of that session.
func TestCommandWithTheNumberOfTheSession(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.start(one)
	s.ChangeMain(&one.Unit, s.fork(pid, true))
	s.k.die(pid)
	s.Reap()
	_, again, started := s.command(one, time.Hour, func(error) {})
	if s.Look(&one.Unit); again != pid || one.HasLeftovers() {
		t.Error("taken for a leftover:", again, one.leftovers)
	}
	started()
	s.check()
}

// TestSpeakerDuringTheStart: who speaks before the main process is known may be that one.
func TestSpeakerDuringTheStart(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.Announce(&one.Unit, "")
	s.grouped(t, one, nil)
	b, pid := s.birth()
	s.k.procs[pid].group = one.group.Path
	if u, _ := s.Speaker(pid); u != nil {
		t.Error("it is not the main process")
	}
	b.over(func() { b.Main(&one.Unit, s.kernel.Identify(pid), sys.FileID{}) })()
	if u, role := s.Speaker(pid); u != &one.Unit || role != Main {
		t.Error(u, role)
	}
}
