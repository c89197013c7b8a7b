package supervise

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// A process that dies before its start is told must not be signalled by a number that is somebody
// else's by then.
func TestDeathBeforeThePIDIsKnownSignalsNobody(t *testing.T) {
	for name, message := range map[string]notify.Message{"stop": {}, "watchdog": {WatchdogTrigger: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				b.k.slow = true
				s := b.put(plain("s", func(s *spec.Service) { s.Restart = spec.RestartNo }))
				b.inOwner(func() { b.want([]*service{s}, orderStart) })
				b.inOwner(func() {
					b.heard(heardMessage{sender: sys.Sender{PID: 101}, Message: message})
					if name == "stop" {
						b.unwant([]*service{s}, "stopped", orderStop)
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
					if s.state != Stopped && s.state != Failed || len(b.k.given) != 1 {
						t.Errorf("%v, %d reaped", s.state, len(b.k.given))
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
		b.inOwner(func() { b.want([]*service{slow}, orderStart) })
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
		b.inOwner(b.reapAll)
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

func TestReapedMainIsNotSignalled(t *testing.T) {
	b := newBench(t)
	s := b.put(plain("s", func(s *spec.Service) { s.Reload = "HUP" }))
	b.place(s, Ready, hWant)
	b.k.die(s.pid, exited(0))
	s.stream = nil
	if _, _, err := b.kernel.reap(s.pid); err != nil {
		t.Fatal(err)
	}
	delete(b.byPID, s.pid)
	s.draining = true
	if _, err := b.reload(s); err == nil {
		t.Error("reloaded what is dead")
	}
	b.kill(s, syscall.SIGTERM)
	for _, pid := range []int{s.pid, 0, 1, -1, -s.pid} {
		if err := b.signalOwn(pid, syscall.SIGKILL); !errors.Is(err, errNotOurs) {
			t.Errorf("%d: %v", pid, err)
		}
		if err := b.signalGroup(pid, syscall.SIGKILL); !errors.Is(err, errNotOurs) {
			t.Errorf("group %d: %v", pid, err)
		}
	}
	if len(b.k.strayed)+len(b.k.sent()) > 0 {
		t.Errorf("signalled: %v", b.k.strayed)
	}
}

// A descendant seen when the stop began may have ended, and its number may be another's.
func TestDescendantWhoseNumberPassedOn(t *testing.T) {
	b := newBench(t)
	s := b.put(plain("s", func(s *spec.Service) { s.StopTo = spec.StopAll }))
	b.place(s, Ready, hWant)
	mine, stranger := b.k.adopt(0), b.k.adopt(0)
	s.left.expected = map[int]uint64{mine: uint64(mine), stranger: uint64(stranger) - 1}
	s.step = 1
	b.killRest(s, syscall.SIGTERM)
	if got := b.k.sent(); !slices.Equal(got, []string{"103 SIGTERM"}) && !slices.Equal(got, []string{"102 SIGTERM"}) {
		t.Errorf("sent %v", got)
	}
	if _, ok := b.k.live[stranger]; !ok {
		t.Error("a stranger was killed")
	}
}

func TestSignalOther(t *testing.T) {
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
	if err := signalOther(other, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("with another start time: %v", err)
	}
	for _, pid := range []int{0, -1, -os.Getpid()} {
		if err := signalOther(sys.ProcStat{PID: pid}, syscall.SIGKILL); err == nil {
			t.Errorf("%d was signalled", pid)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := signalOther(stat, syscall.SIGTERM); err != nil {
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
