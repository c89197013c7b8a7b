package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// bench is a service that is alone, on a system in which processes do what the test says. Its owner
// is whoever calls settle.
type bench struct {
	testing.TB
	Service
	shared   Shared
	deaf     bool   // processes end by SIGKILL only
	fails    error  // of every start
	blocker  string // what the service has to wait for
	mustHold bool   // something that needs it is still to be ended
	live     map[int]bool
	dead     []int
	status   syscall.WaitStatus // of the next that end by themselves
	signals  []string           // "PID SIGNAL"
	troubles []string
	events   []control.Event
	pid      int // of the last process
}

func trueService() spec.Service {
	return spec.Service{
		Name: "s", Command: spec.Command{"/bin/true"}, Ready: spec.Probe{Kind: spec.ProbeNotify},
	}
}

func newBench(t testing.TB, described spec.Service) *bench {
	b := &bench{TB: t, pid: 100, deaf: true, live: map[int]bool{}}
	l := loop.New(errors.New("over"))
	b.shared = Shared{Loop: l, Trouble: b.trouble, Kernel: b.kernel()}
	b.shared.Open()
	b.shared.Procs = children.New(&b.shared.Kernel.Kernel, l, b.trouble)
	b.shared.Handover = handover.New(handover.Options[*Service]{
		Post: l.Post, Trouble: b.trouble, Failed: (*Service).Trouble,
	})
	b.shared.Hearing = hearing.New(hearing.Options{
		Loop: l, Take: b.shared.TakeIn, Expecting: b.shared.Procs.Expecting, Trouble: b.trouble,
	})
	b.Init(&b.shared, b, described.WithDefaults())
	return b
}

func (b *bench) kernel() Kernel {
	signal := func(pid int, sig syscall.Signal) error {
		b.signals = append(b.signals, fmt.Sprintf("%d %s", pid, sys.SignalName(sig)))
		if sig == syscall.SIGKILL || !b.deaf && sig != syscall.SIGCONT {
			b.die(pid)
		}
		return nil
	}
	return Kernel{
		Kernel: children.Kernel{
			Dead: func() (int, error) { return append(b.dead, 0)[0], nil },
			Reap: b.reap, Signal: signal, SignalGroup: signal,
			Children: func() ([]int, error) { return nil, nil },
			Stat: func(pid int) (sys.ProcStat, error) {
				return sys.ProcStat{PID: pid, Session: pid}, nil
			},
			Descendants: func(int) []sys.ProcStat { return nil },
			Cgroup:      func(int) (string, error) { return "/", nil },
			Environ:     func(int) ([]string, error) { return nil, nil },
			Outputs:     func(int) []sys.FileID { return nil },
			Identify:    func(pid int) children.Identity { return children.Identity{PID: pid} },
		},
		Start: func(context.Context, *spawn.Spec) (int, error) {
			if b.fails != nil {
				return 0, b.fails
			}
			b.pid++
			b.live[b.pid] = true
			return b.pid, nil
		},
		Ignores:  func(int, syscall.Signal) bool { return false },
		OOMKills: func() (uint64, error) { return 0, nil },
		Random:   func() float64 { return 0 },
		Looks:    func(int, func() []int) probe.Looks { return nil },
	}
}

// die has a process end, if it lives.
func (b *bench) die(pid int) {
	if b.live[pid] {
		delete(b.live, pid)
		b.dead = append(b.dead, pid)
	}
}

func (b *bench) reap(pid int) (children.Exit, bool, error) {
	i := slices.Index(b.dead, pid)
	if i < 0 {
		return children.Exit{}, false, nil
	}
	b.dead = slices.Delete(b.dead, i, i+1)
	return children.Exit{Status: b.status, At: time.Now()}, true, nil
}

// trouble writes down what is told. A state that changes while nothing happens is never right.
func (b *bench) trouble(err error) {
	if b.troubles = append(b.troubles, err.Error()); strings.Contains(err.Error(), Unhappened) {
		b.Error(err)
	}
}

// settle does what is posted and takes in the dead, until there is nothing more.
func (b *bench) settle() {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		b.shared.Procs.Reap()
		if b.shared.Loop.Run() == 0 && !b.shared.Loop.Busy() && len(b.dead) == 0 {
			return
		}
		time.Sleep(10 * time.Microsecond)
	}
	b.Error("it does not come to rest")
}

// The Owner of a service that is the only one.

func (b *bench) Blocker() string    { return "" }
func (b *bench) MustHold() bool     { return false }
func (b *bench) AwaitsOthers() bool { return false }
func (b *bench) HoldSockets() {
	b.shared.Handover.Hold(&b.Service, b.Spec(), slices.Values([]*Service{}))
}
func (b *bench) Changed()             {}
func (b *bench) Up()                  {}
func (b *bench) CannotEnd()           {}
func (b *bench) Reloaded(error)       {}
func (b *bench) Emit(e control.Event) { b.events = append(b.events, e) }
func (b *bench) Note()                {}
func (b *bench) NoteSoon()            {}
func (b *bench) Noted(then func())    { b.shared.Loop.Post(then) }
func (b *bench) WantedChanged()       {}
func (b *bench) Role() Role           { return Main }
func (b *bench) Registered() *Service { return &b.Service }
func (b *bench) TakePlace()           {}
func (b *bench) Over(string)          {}

func (b *bench) Launch() supervised.Launch {
	return supervised.Launch{Environ: []string{}, Room: supervised.NewRoom()}
}
