package supervise

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// A process that dies before its start is told must not be signalled by a number that is somebody
// else's by then.
func TestDeathBeforeThePIDIsKnownSignalsNobody(t *testing.T) {
	for name, message := range map[string]notify.Message{
		"stop": {}, "watchdog": {WatchdogTrigger: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				b.k.slow = true
				s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
				b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
				b.inOwner(func() {
					b.hearing.Heard(hearing.Message{Sender: sys.Sender{PID: 101}, Message: message})
					if name == "stop" {
						b.unwant([]*service{s}, "stopped", waiters.Stop)
					}
				})
				b.k.die(101, exited(0))
				synctest.Wait()
				b.k.set(func() {
					if len(b.k.dead) != 1 {
						t.Error("reaped before anybody knew whose it was")
					}
				})
				time.Sleep(spawnTime)
				b.inOwner(func() {
					if s.State() != Stopped && s.State() != Failed || len(b.k.given) != 1 {
						t.Errorf("%v, %d reaped", s.State(), len(b.k.given))
					}
				})
			})
		})
	}
}

// While it is not known whose a dead child is, the deaths of those that are known are seen all the
// same.
func TestUnclaimedDeadHideNobody(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
		b.up(s)
		b.k.set(func() { b.k.slow = true })
		slow := b.put(plain("slow"))
		b.inOwner(func() { b.want([]*service{slow}, waiters.Start) })
		stranger := b.k.adopt(0)
		b.k.die(stranger, exited(0))
		b.k.die(b.pidOf(s), exited(3))
		b.is(s, Failed, "exited with status 3")
		b.k.set(func() {
			if len(b.k.dead) != 1 {
				t.Errorf("dead: %v", b.k.dead)
			}
		})
		time.Sleep(spawnTime)
		synctest.Wait()
		b.k.set(func() {
			if len(b.k.dead) != 0 {
				t.Errorf("never reaped: %v", b.k.dead)
			}
		})
	})
}

// Between the death of a main process and the end of its output its number is nobody's to signal.
// Whoever cannot execute a program reaps what was to become it; the engine may see that dead, and
// must not make much of it.
func TestReapedBySomebodyElse(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s"))
		b.up(s)
		b.k.set(func() { b.k.dead, b.k.reaped = append(b.k.dead, fakeDeath{pid: 1 << 20}), true })
		b.inOwner(b.procs.Reap)
		b.k.set(func() { b.k.reaped = false })
		b.crash(s)
		b.is(s, Starting, "")
		b.inOwner(func() {
			if len(b.troubles) > 0 {
				t.Error(b.troubles)
			}
		})
	})
}

// Between the death of a main process and the end of its output nobody signals it any more.
func TestDeadMainIsNotSignalled(t *testing.T) {
	b := newBench(t)
	s := b.put(plain("s", func(s *spec.Service) { s.Reload = "HUP" }))
	b.place(s, Ready)
	s.Ending()
	if _, err := b.reload(s); err == nil {
		t.Error("reloaded what is dead")
	}
	b.k.die(s.PID(), exited(0))
	b.procs.Reap()
	if err := s.Signal(syscall.SIGTERM); err == nil {
		t.Error("a signal for what is dead")
	}
	s.Stop("")
	s.Hurry()
	if len(b.k.strayed)+len(b.k.sent()) > 0 {
		t.Errorf("signalled: %v", b.k.strayed)
	}
}
