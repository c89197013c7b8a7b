package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// TestRandomLife has a service live through whatever its owner, its process and the system may do:
// no impossible cell is reached, what must hold holds after each step, and in the end it can be
// stopped.
func TestRandomLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Uint32(), 1, 60).Draw(rt, "steps")
		if !t.Run("life", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { liveThrough(t, steps) })
		}) {
			rt.Fatal("see above")
		}
	})
}

func liveThrough(t *testing.T, steps []uint32) {
	described := trueService()
	described.Watchdog, described.Reload = spec.Duration(5*time.Second), "HUP"
	described.Budget.Retry = spec.Duration(time.Hour)
	b := newBench(t, described)
	var did []string
	for _, n := range steps {
		did = append(did, b.step(n%20, n/20))
		b.settle()
		b.check(did)
	}
	b.mustHold, b.deaf = false, false
	b.Release()
	b.Wanted = false
	b.Service.Stop("the end")
	b.settle()
	for range 30 {
		time.Sleep(10 * time.Second)
		b.settle()
	}
	b.check(append(did, "the end"))
	if b.state != Stopped && b.state != Failed {
		t.Errorf("%v: %q: it is %v", did, b.reason, b.state)
	}
}

// step does one thing and says which.
func (b *bench) step(what, how uint32) string {
	odd := how%2 == 1
	switch what {
	case 0, 1:
		b.Start()
		return "start"
	case 2:
		b.Wanted = false
		b.Service.Stop("stopped")
		return "stop"
	case 3:
		b.Restart("restart")
		return "restart"
	case 4, 5:
		return b.says(notify.Message{Ready: true})
	case 6:
		return b.says(notify.Message{Reloading: true})
	case 7:
		return b.says(notify.Message{WatchdogTrigger: true})
	case 8:
		return b.says(notify.Message{ExtendTimeout: time.Minute})
	case 9:
		return b.says(notify.Message{Watchdog: true, Stopping: odd})
	case 10:
		b.status = syscall.WaitStatus(how % 3 << 8)
		b.die(b.PID())
		return fmt.Sprint("ends with ", how%3)
	case 11:
		b.deaf = odd
		return fmt.Sprint("deaf ", odd)
	case 12:
		if b.fails = nil; odd {
			b.fails = errors.New("a test")
		}
		return fmt.Sprint("starts fail ", odd)
	case 13:
		return b.block(odd)
	case 14:
		if b.mustHold = odd; !odd {
			b.Release()
		}
		return fmt.Sprint("must hold ", odd)
	case 15:
		if b.state == Stopping {
			b.Hurry()
		}
		return "hurry"
	case 16:
		b.Redescribed()
		return "described"
	case 17:
		_ = b.Reload(func(error) {}) // it may be down
		return "reload"
	}
	time.Sleep(time.Duration(how%10000) * time.Millisecond)
	return fmt.Sprint("waits ", how%10000)
}

// block has the service wait for something from now on, or not any more, which it is told.
func (b *bench) block(block bool) string {
	if b.blocker = ""; block {
		b.blocker = "waits for something"
	}
	if b.state == Waiting && !block {
		b.DependenciesMet()
	}
	return fmt.Sprint("blocked ", block)
}

func (b *bench) says(m notify.Message) string {
	b.shared.Hearing.Heard(hearing.Message{Sender: sys.Sender{PID: b.PID()}, Message: m})
	text, _ := m.Encode()
	return fmt.Sprintf("says %q", text)
}

// check holds what must always hold.
func (b *bench) check(did []string) {
	b.Helper()
	wrong := func(format string, args ...any) {
		b.Helper()
		b.Fatalf("%v: it is %v: %s", did, b.state, fmt.Sprintf(format, args...))
	}
	if len(b.troubles) > 0 {
		wrong("%q", b.troubles)
	}
	if alive := isAlive(b.state); alive != (b.shared.alive == 1) {
		wrong("%d services are counted as alive", b.shared.alive)
	}
	if b.holding != (b.shared.holding == 1) || b.holding && b.state != Stopping {
		wrong("holding: %v, %d counted", b.holding, b.shared.holding)
	}
	if b.state == Ready && b.PID() == 0 {
		wrong("without a process")
	}
	down := []control.State{Stopped, Failed, Backoff, Waiting, Listening}
	if slices.Contains(down, b.state) && (b.HasProcess() || b.HasLeftovers() || len(b.live) > 0) {
		wrong("process %d, %d live", b.PID(), len(b.live))
	}
	b.checkTimers(wrong)
}

// checkTimers: what is down waits for the next start at most, what is on its way up for readiness,
// what is up is watched, what is being ended waits for the end, and what holds its stop for others,
// who wake it.
func (b *bench) checkTimers(wrong func(string, ...any)) {
	b.Helper()
	var may []timer
	switch {
	case b.state == Starting:
		may = []timer{timerReady, timerSettle}
	case b.state == Ready: // timerReady is of a reload
		may = []timer{timerReady, timerWatchdog, timerLive, timerMemory, timerIdle}
	case b.state == Backoff || b.state == Failed:
		may = []timer{timerDelay}
	case b.state == Stopping && !b.holding:
		may = []timer{timerStop, timerSweep}
	}
	for t := range numTimers {
		if b.timers[t].Set() && !slices.Contains(may, t) {
			wrong("timer %d runs, holding %v", t, b.holding)
		}
	}
	if b.cancel != nil && b.state != Starting {
		wrong("looked at for readiness")
	}
	if b.state == Backoff && !b.timers[timerDelay].Set() {
		wrong("nothing ends it")
	}
}
