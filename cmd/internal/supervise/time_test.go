package supervise

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// readyMessage is READY=1.
var readyMessage = notify.Message{Ready: true}

// bubble runs f with an engine that runs, in a time that passes when nothing else happens.
func bubble(t *testing.T, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		end := b.run()
		f(b)
		b.inOwner(b.check)
		if err := end(); err != nil && b.diskErr == nil {
			t.Error(err)
		}
	})
}

// up starts s and has it say that it is ready.
func (b *bench) up(s *service) {
	b.Helper()
	b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
	b.say(s, notify.Message{Ready: true})
	b.is(s, Ready, "")
}

// say has the main process of s send a message.
func (b *bench) say(s *service, m notify.Message) {
	b.Helper()
	b.inOwner(func() { b.heard(s.PID(), m) })
}

// sayAs has a process say it.
func (b *bench) sayAs(pid int, m notify.Message) {
	b.Helper()
	b.inOwner(func() { b.heard(pid, m) })
}

func (b *bench) heard(pid int, m notify.Message) {
	b.hearing.Heard(hearing.Message{Sender: sys.Sender{PID: pid}, Message: m})
}

func (b *bench) crash(s *service) {
	b.Helper()
	b.k.die(b.pidOf(s), exited(1))
	synctest.Wait()
}

func TestBackoffGrowsToItsCapAndEndsInFailed(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Backoff = spec.Backoff{
				First: new(spec.Duration(time.Second)),
				Cap:   new(spec.Duration(4 * time.Second)),
			}
			s.Budget = spec.Budget{Restarts: new(6), Window: new(spec.Duration(time.Hour))}
		}))
		b.up(s)
		var delays []time.Duration
		for range 6 {
			b.crash(s)
			began := time.Now()
			for b.pidOf(s) == 0 {
				time.Sleep(100 * time.Millisecond)
			}
			delays = append(delays, time.Since(began))
		}
		for i, want := range []time.Duration{0, 1, 2, 4, 4, 4} {
			if delays[i] != want*time.Second {
				t.Errorf("delays %v", delays)
				break
			}
		}
		b.crash(s)
		b.is(s, Failed,
			"exited with status 1 before it was ready; restarted 6 times in 1h, no more")
	})
}

// A start that hangs in the kernel is given up when its time is over, and at once when it is to be
// stopped.
func TestHangingStartIsGivenUp(t *testing.T) {
	bubble(t, func(b *bench) {
		b.k.set(func() { b.k.hangs = true })
		s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		time.Sleep(29 * time.Second)
		b.is(s, Starting, "")
		time.Sleep(2 * time.Second)
		b.is(s, Failed, lifecycle.ErrNotReady.Error())
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		began := time.Now()
		if err := b.Stop(context.Background(), "s"); err != nil || time.Since(began) > time.Second {
			t.Error(err, time.Since(began))
		}
		b.is(s, Stopped, "stopped")
	})
}

func TestJitterShortensTheDelay(t *testing.T) {
	bubble(t, func(b *bench) {
		b.k.random = 0.5
		s := b.put(plain("s",
			func(s *spec.Service) { s.Backoff.First = new(spec.Duration(time.Second)) }))
		b.up(s)
		b.crash(s)
		b.crash(s)
		b.inOwner(func() {
			if d := time.Until(s.Next()); d != 900*time.Millisecond {
				t.Error(d)
			}
		})
	})
}

func TestCrashAfterMonthsRestartsAtOnce(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.up(s)
		for range 3 {
			b.crash(s)
			time.Sleep(time.Minute)
		}
		b.say(s, notify.Message{Ready: true})
		time.Sleep(90 * 24 * time.Hour)
		b.crash(s)
		b.is(s, Starting, "")
	})
}

func TestFailedIsTriedAgainSlowly(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Budget = spec.Budget{Restarts: new(0), Retry: spec.Duration(time.Hour)}
		}))
		b.up(s)
		b.crash(s)
		b.is(s, Failed, "exited with status 1")
		time.Sleep(time.Hour)
		b.is(s, Starting, "")
	})
}

func TestStopSchedule(t *testing.T) {
	bubble(t, func(b *bench) {
		b.k.deaf = true
		s := b.put(plain("s", func(s *spec.Service) {
			s.Stop = spec.StopSchedule{
				{Signal: "INT", Wait: spec.Duration(5 * time.Second)}, {Signal: "TERM"},
			}
		}))
		b.up(s)
		began := time.Now()
		if err := b.Stop(context.Background(), "s"); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 15*time.Second {
			t.Error(d)
		}
		if got := strings.Join(b.k.sent(), ", "); got != "101 SIGINT, 101 SIGTERM, 101 SIGKILL" {
			t.Error(got)
		}
	})
}

// The first signal follows the stop command at once, unless the service says that the command was
// enough; it says so of one stop.
func TestStopCommandIsNotWaitedFor(t *testing.T) {
	bubble(t, func(b *bench) {
		b.k.set(func() { b.k.deaf = true })
		s := b.put(plain("s", func(s *spec.Service) { s.StopCommand = spec.Command{"/bin/true"} }))
		for _, speaks := range []bool{false, true, false} {
			want := 10 * time.Second
			if speaks {
				want *= 2
			}
			go func() { _ = b.Start(context.Background(), "s") }()
			b.say(s, readyMessage)
			began := time.Now()
			stopped := b.stops("s")
			if speaks {
				b.say(s, notify.Message{Stopping: true})
			}
			b.k.die(b.started(), exited(0)) // the command
			if err := <-stopped; err != nil || time.Since(began) != want {
				t.Errorf("says STOPPING=1: %v: after %v, want %v: %v",
					speaks, time.Since(began), want, err)
			}
		}
	})
}

func TestTimeoutNamesThePhaseAndIsExtended(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		b.say(s, notify.Message{Status: new("loading")})
		time.Sleep(31 * time.Second)
		b.is(s, Failed, `not ready within 30s (notify); its last status: "loading"`)
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		time.Sleep(29 * time.Second)
		b.say(s, notify.Message{ExtendTimeout: 20 * time.Second})
		time.Sleep(19 * time.Second)
		b.is(s, Starting, "")
		time.Sleep(2 * time.Second)
		b.is(s, Failed, "not ready within 49s (notify)")
	})
}

func TestWatchdog(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Watchdog, s.Restart = spec.Duration(time.Second), spec.RestartNo
		}))
		b.up(s)
		for range 5 {
			time.Sleep(900 * time.Millisecond)
			b.say(s, notify.Message{Watchdog: true})
		}
		b.is(s, Ready, "")
		time.Sleep(1100 * time.Millisecond)
		b.is(s, Failed, "no WATCHDOG=1 within 1s")
	})
}

func TestUnwrittenStateIsToldAndWrittenLater(t *testing.T) {
	bubble(t, func(b *bench) {
		b.put(plain("s", func(s *spec.Service) { s.Ready = spec.Probe{Kind: spec.ProbeExec} }))
		b.diskErr = errors.New("disk full")
		err := b.Start(context.Background(), "s")
		if _, ok := errors.AsType[*NotSavedError](err); !ok {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		b.inOwner(func() {
			if len(b.troubles) != 1 {
				t.Errorf("said %d times: %q", len(b.troubles), b.troubles)
			}
			b.diskErr = nil
		})
		time.Sleep(2 * time.Minute)
		b.inOwner(func() {
			if b.keeper.State.Failing() != nil || b.keeper.State.Pending() {
				t.Error("not written again:", b.keeper.State.Failing())
			}
		})
	})
}

func TestShortageEndsInBackoff(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.k.set(func() { b.k.startErr = errShort })
		err := b.Start(context.Background(), "s")
		isNot(t, err, errShort)
		b.is(s, Backoff, "fork: resource temporarily unavailable")
		b.k.set(func() { b.k.startErr = nil })
		time.Sleep(time.Second)
		b.is(s, Starting, "")
	})
}

// What a process does before its start is known here counts: it speaks, it dies, it is told to
// stop.
func TestBeforeThePIDIsKnown(t *testing.T) {
	slowly := func(t *testing.T, f func(b *bench, s *service)) {
		bubble(t, func(b *bench) {
			b.k.slow = true
			s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
			b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
			f(b, s)
		})
	}
	t.Run("ready", func(t *testing.T) {
		slowly(t, func(b *bench, s *service) {
			b.inOwner(func() {
				b.hearing.Heard(hearing.Message{
					Sender:  sys.Sender{PID: 101},
					Message: notify.Message{Ready: true},
				})
			})
			b.is(s, Starting, "")
			time.Sleep(spawnTime)
			b.is(s, Ready, "")
		})
	})
	t.Run("death", func(t *testing.T) {
		slowly(t, func(b *bench, s *service) {
			b.k.die(101, exited(7))
			b.is(s, Starting, "")
			time.Sleep(spawnTime)
			b.is(s, Failed, "exited with status 7 before it was ready")
		})
	})
	t.Run("signal", func(t *testing.T) {
		slowly(t, func(b *bench, s *service) {
			if err := b.Signal(context.Background(), syscall.SIGUSR1, "s"); err != nil {
				t.Error(err)
			}
			time.Sleep(spawnTime)
			b.is(s, Failed, "killed by SIGUSR1 before it was ready")
		})
	})
	t.Run("stop", func(t *testing.T) {
		slowly(t, func(b *bench, s *service) {
			b.inOwner(func() { b.unwant([]*service{s}, "stopped", waiters.Stop) })
			b.is(s, Stopping, "stopped")
			time.Sleep(spawnTime)
			b.is(s, Stopped, "stopped")
			if got := strings.Join(b.k.sent(), ", "); got != "101 SIGTERM" {
				t.Error(got)
			}
		})
	})
}

func TestKillFromOutsideAfterTheKernelRanOutOfMemory(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
		b.up(s)
		b.k.ooms++
		b.k.die(b.pidOf(s), 9)
		b.is(s, Failed, "killed by SIGKILL (out of memory)")
	})
}
