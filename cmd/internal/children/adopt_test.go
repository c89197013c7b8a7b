package children

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// TestProveWithoutPidfds: who cannot be held has ended only if its number says so.
func TestProveWithoutPidfds(t *testing.T) {
	s := newScene(t)
	s.kernel.Hold = func(int) (Handle, error) { return nil, errors.ErrUnsupported }
	pid := s.k.born(process{parent: 1})
	zombie := s.k.born(process{parent: 1, dead: true})
	start := s.k.procs[pid].start
	for id, lives := range map[Identity]bool{
		{PID: pid, Pidfd: 7}: true, {PID: pid, Start: start}: true,
		{PID: pid, Start: start + 1}: false,
		{PID: zombie, Pidfd: 7}:      false, {PID: zombie + 1, Pidfd: 7}: false,
	} {
		if s.MayLive(id) != lives {
			t.Errorf("%+v may live: %v", id, !lives)
		}
	}
}

// TestWhoCannotBeAsked: a held process of which it cannot be told whether it has ended may live,
// but its number is not taken for its own.
func TestWhoCannotBeAsked(t *testing.T) {
	s := newScene(t, "s")
	pid := s.adopted(s.services[0])
	s.k.unasked = errors.New("no")
	if !s.MayLive(s.services[0].Identity()) {
		t.Error("it is gone for certain")
	}
	if u, _ := s.Speaker(pid); u != nil {
		t.Error("whoever has its number speaks for", u)
	}
}

// TestInitIsNobodys: a record that names process 1 proves nothing.
func TestInitIsNobodys(t *testing.T) {
	s := newScene(t)
	s.k.procs[1] = &process{start: 5}
	if h, err := s.Prove(Identity{PID: 1, Start: 5}); err == nil {
		t.Error(h)
	}
}

// TestAdoptOwnChild: what is our child already, as after an upgrade, is no adopted one.
func TestAdoptOwnChild(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.k.born(process{parent: us, invocation: "earlier", mine: true})
	id := s.kernel.Identify(pid)
	s.Recall(&one.Unit, "earlier", 0, id, nil)
	h, err := s.Prove(id)
	if err := errors.Join(err, s.Adopt(&one.Unit, id, h, "")); err != nil {
		t.Fatal(err)
	}
	if one.Adopted() || one.Session() != pid || s.Taken() != 1 {
		t.Error(one.Adopted(), one.Session(), s.Taken())
	}
	s.k.die(pid)
	if s.Reap(); one.ended != 1 {
		t.Errorf("its end was told %d times", one.ended)
	}
}

// TestAdoptDead: who ends just before it is watched is adopted, but not counted.
func TestAdoptDead(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.k.born(process{parent: 1, mine: true})
	id := s.kernel.Identify(pid)
	s.Recall(&one.Unit, "", pid, id, nil)
	h, err := s.Prove(id)
	s.k.die(pid)
	if err := errors.Join(err, s.Adopt(&one.Unit, id, h, "")); err != nil || s.Taken() != 0 {
		t.Error(err, s.Taken())
	}
}

// TestAdoptedWhoseNumberIsAnAdoptedOnes: the end of the former takes nothing from the latter.
func TestAdoptedWhoseNumberIsAnAdoptedOnes(t *testing.T) {
	s := newScene(t, "old", "new")
	old, next := s.services[0], s.services[1]
	pid := s.adopted(old)
	s.k.die(pid)
	if again := s.adopted(next); again != pid {
		t.Fatalf("the number %d was not given again", pid)
	}
	s.loop.Run()
	if old.ended != 1 || next.ended != 0 || s.adoptions.byPID[pid] == nil {
		t.Errorf("told %d and %d; held: %v", old.ended, next.ended, s.adoptions.byPID[pid])
	}
	s.check()
}

// TestAdoptedThatIsNotReaped: how a process ended that its parent has yet to reap is awaited, said
// once, and not for ever.
func TestAdoptedThatIsNotReaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "s")
		one := s.services[0]
		key := s.adoptions.byPID[s.adopted(one)].key
		s.adoptedEnded(sys.ExitEvent{Key: key})
		s.adoptedEnded(sys.ExitEvent{Key: key})
		if one.ended != 0 || !slices.Equal(one.told, []string{"ending"}) {
			t.Error(one.ended, one.told)
		}
		time.Sleep(reapTime)
		synctest.Wait()
		if s.loop.Run(); one.ended != 1 {
			t.Errorf("its end was told %d times", one.ended)
		}
	})
}

// TestFormerMainOfTheAdopted: its end is that of a leftover.
func TestFormerMainOfTheAdopted(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.adopted(one)
	next := s.fork(pid, false)
	s.ChangeMain(&one.Unit, next)
	s.k.die(pid)
	if s.loop.Run(); one.PID() != next || one.HasLeftovers() || one.left != 1 || one.ended != 0 {
		t.Error(one.PID(), one.leftovers, one.left, one.ended)
	}
}

// TestMainAndBack: a service may name its processes in turn for ever: each is held once.
func TestMainAndBack(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.adopted(one)
	next := s.fork(pid, false)
	for range 4 {
		s.ChangeMain(&one.Unit, next)
		s.ChangeMain(&one.Unit, pid)
	}
	if one.PID() != pid || len(s.adoptions.byKey) != 2 {
		t.Errorf("the main process is %d; %d are held", one.PID(), len(s.adoptions.byKey))
	}
	s.k.die(pid)
	s.k.die(next)
	if s.loop.Run(); one.ended != 1 || one.left != 1 || one.HasLeftovers() {
		t.Error(one.ended, one.left, one.leftovers)
	}
}

// TestNextMainOfTheAdoptedWhoseNumberPassedOn: whose process it is is asked again when it is held.
func TestNextMainOfTheAdoptedWhoseNumberPassedOn(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.adopted(one)
	next := s.fork(pid, false)
	asked := 0
	s.kernel.Stat = func(pid int) (sys.ProcStat, error) {
		if pid == next {
			if asked++; asked == 2 { // when it is known to be of the unit
				s.k.die(next)
				s.k.born(process{parent: 1})
			}
		}
		return s.k.stat(pid)
	}
	if s.ChangeMain(&one.Unit, next); one.PID() != pid || asked < 2 {
		t.Errorf("the main process is %d, a stranger", one.PID())
	}
}

// TestStrangerWithTheNumberOfAnAdopted: the number of one that has ended, which is not told yet,
// may be anybody's: that one says nothing, and its children are none of the unit.
func TestStrangerWithTheNumberOfAnAdopted(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	pid := s.adopted(one)
	s.k.die(pid)
	if stranger := s.k.born(process{parent: 1}); stranger != pid {
		t.Fatalf("the number %d was not given again", pid)
	}
	child := s.fork(pid, true)
	for _, who := range []int{pid, child} {
		if u, _ := s.Speaker(who); u != nil {
			t.Errorf("%d speaks for it", who)
		}
	}
	if s.Remember(&one.Unit); len(one.Remembered()) > 0 {
		t.Errorf("%v are remembered as its descendants", one.Remembered())
	}
}

// gone has an adopted unit, one that remembers a process, whose main process has ended.
func (s *scene) gone(one *subject, remembered ...Identity) {
	pid := s.k.born(process{parent: 1, invocation: "earlier", mine: true})
	id := s.kernel.Identify(pid)
	s.Recall(&one.Unit, "earlier", pid, id, remembered)
	s.k.die(pid)
	s.Lost(&one.Unit)
}

// TestStrays: a survey takes in who has a sign of an adopted unit, and nobody else.
func TestStrays(t *testing.T) {
	s := newScene(t, "s", "without")
	one, without := s.services[0], s.services[1]
	remembered := s.k.born(process{parent: 1})
	passedOn := s.k.born(process{parent: 1})
	s.gone(one, Identity{PID: remembered, Start: s.k.procs[remembered].start},
		Identity{PID: passedOn, Start: s.k.procs[passedOn].start + 99})
	s.Recall(&without.Unit, "", 0, Identity{}, nil)
	output := sys.FileID{Inode: 3}
	s.Prints(&one.Unit, output)
	printer := s.k.born(process{parent: 1, output: output})
	zombie := s.k.born(process{parent: 1, invocation: "earlier", dead: true})
	ours := s.k.born(process{parent: us, invocation: "earlier", mine: true})
	list, err := s.lookAround()
	s.adoptStrays(list)
	for who, is := range map[int]bool{
		remembered: true, passedOn: false, printer: true, zombie: false, ours: false,
	} {
		if _, has := one.leftovers[who]; has != is {
			t.Errorf("%d is a leftover: %v", who, has)
		}
	}
	last := s.adoptions.last
	list, again := s.lookAround()
	if s.adoptStrays(list); s.adoptions.last != last || errors.Join(err, again) != nil {
		t.Errorf("%d were held anew by a second look; %v %v", s.adoptions.last-last, err, again)
	}
}

// TestStraysBesideTheMainProcess: while that lives they are not left behind.
func TestStraysBesideTheMainProcess(t *testing.T) {
	s := newScene(t, "s")
	one := s.services[0]
	s.fork(s.adopted(one), false)
	list, err := s.lookAround()
	if s.adoptStrays(list); one.HasLeftovers() || err != nil {
		t.Error(one.leftovers, err)
	}
}

// TestSignsAreReadOnce: of each process, not of each number.
func TestSignsAreReadOnce(t *testing.T) {
	s := newScene(t, "s")
	s.gone(s.services[0])
	pid := s.k.born(process{parent: 1})
	read := 0
	environ := s.kernel.Environ
	s.kernel.Environ = func(pid int) ([]string, error) { read++; return environ(pid) }
	for range 2 {
		if _, err := s.lookAround(); err != nil || read != 1 {
			t.Errorf("read %d times; %v", read, err)
		}
	}
	s.k.die(pid)
	s.k.born(process{parent: 1, invocation: "earlier"})
	list, err := s.lookAround()
	if s.adoptStrays(list); !s.services[0].HasLeftovers() || err != nil {
		t.Error("taken for the process that had its number;", err)
	}
}

// TestSurveys: who asks during a survey is served by the next, with all others who have.
func TestSurveys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "s")
		surveys, failure := 0, errors.New("no list")
		s.kernel.Processes = func() ([]sys.ProcStat, error) { surveys++; return nil, failure }
		var served []int
		for i := range 3 {
			s.Survey(func() { served = append(served, i, surveys) })
			synctest.Wait()
		}
		for range 5 {
			s.loop.Run()
			synctest.Wait()
		}
		if !slices.Equal(served, []int{0, 1, 1, 2, 2, 2}) || surveys != 2 || len(s.troubles) != 2 {
			t.Errorf("served %v, %d surveys, %q", served, surveys, s.troubles)
		}
	})
}

// TestSeekSigns: the dead are not found, an id of its own counts more than that of its group, and
// who is adopted has all that the next supervisor needs.
func TestSeekSigns(t *testing.T) {
	s := newScene(t, "s")
	u := &s.services[0].Unit
	dead := s.k.born(process{parent: us, invocation: "one", dead: true})
	pid := s.k.born(process{parent: 1, invocation: "own", mine: true})
	found, err := s.Seek(Sought{Members: map[int]Member{dead: {u, "one"}, pid: {u, "group's"}}})
	if f := found[u]; err != nil || f.Stat.PID != pid || f.Invocation != "own" {
		t.Fatalf("%+v %v", f, err)
	}
	if err := s.AdoptFound(u, found[u], "", func() {}); err != nil {
		t.Fatal(err)
	}
	if want := s.kernel.Identify(pid); u.Identity() != want || !s.Announced("own") ||
		u.Invocation() != "own" {
		t.Errorf("%+v, want %+v; %q", u.Identity(), want, u.Invocation())
	}
	_ = s.Signal(u, syscall.SIGKILL)
	s.loop.Run()
}
