package children

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// An adopted process has ended, which is about to be told, and its number is a child's already:
// that is signalled as a child, dies as a child, and each end is told to its own.
func TestAdoptedWhoseNumberPassedOn(t *testing.T) {
	s := newScene(t, "old", "new")
	old, next := s.services[0], s.services[1]
	pid := s.adopted(old)
	s.k.die(pid)
	s.Announce(&next.Unit, "")
	b := s.Expect()
	b.begin()
	again := s.k.born(process{parent: us, invocation: next.invocation, mine: true})
	if again != pid {
		t.Fatalf("the number %d was not given again", pid)
	}
	id := s.kernel.Identify(pid)
	b.over(func() { b.Main(&next.Unit, id, sys.FileID{}) })()
	s.check()
	if err := s.Signal(&next.Unit, syscall.SIGHUP); err != nil || len(s.k.sent) != 1 {
		t.Error("the child is not signalled:", err, s.k.sent)
	}
	s.loop.Run()
	if old.ended != 1 || next.ended != 0 {
		t.Errorf("told: %d and %d", old.ended, next.ended)
	}
	s.k.die(pid)
	if s.Reap(); next.ended != 1 || old.ended != 1 {
		t.Errorf("told in the end: %d and %d", old.ended, next.ended)
	}
	s.check()
}

// The same for a helper command, and for a child that dies before it is known.
func TestAdoptedWhoseNumberIsACommands(t *testing.T) {
	s := newScene(t, "old", "new")
	old, next := s.services[0], s.services[1]
	pid := s.adopted(old)
	s.k.die(pid)
	c := next.NewCommand(time.Hour, func(error) {})
	b := s.Expect()
	b.begin()
	s.k.born(process{parent: us, mine: true})
	s.k.die(pid)
	if s.Reap(); old.ended != 0 || s.k.procs[pid] == nil {
		t.Fatal("the death of a child was told as that of the adopted process")
	}
	b.over(func() { b.Started(c, pid) })()
	s.check()
	s.loop.Run()
	if old.ended != 1 || next.Busy() {
		t.Errorf("told %d times; the command runs: %v", old.ended, next.Busy())
	}
}

// A survey takes in the processes of adopted units alone: those of others are children of ours.
func TestSurveyIsForTheAdopted(t *testing.T) {
	s := newScene(t, "ours", "adopted")
	ours, theirs := s.services[0], s.services[1]
	for _, one := range []*subject{ours, theirs} {
		var pid int
		if one == ours {
			pid = s.start(one)
		} else {
			pid = s.adopted(one)
		}
		s.k.born(process{parent: 1, invocation: one.invocation})
		s.k.die(pid)
	}
	s.Reap()
	s.loop.Run()
	list, err := s.lookAround()
	if s.adoptStrays(list); err != nil || ours.HasLeftovers() || !theirs.HasLeftovers() {
		t.Error(err, ours.HasLeftovers(), theirs.HasLeftovers())
	}
	s.check()
}

func TestEnvironmentIsRead(t *testing.T) {
	t.Setenv("TEST_ENVIRON", "x") // not in what the process was started with
	list, err := readEnviron(os.Getpid())
	if err != nil || len(list) < 2 {
		t.Fatal(list, err)
	}
	if _, err := readEnviron(-1); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
