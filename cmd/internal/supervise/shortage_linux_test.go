package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// runOutOfDescriptors takes away all descriptors but those that are in use: a start fails, and says
// why, what runs goes on, and with descriptors the service comes up by itself.
func runOutOfDescriptors(s scene) error {
	if err := s.apply(sh("old", "exec sleep 99")); err != nil {
		return err
	}
	old := s.one("old").PID
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	var kept []*os.File
	defer func() {
		for _, f := range kept {
			f.Close()
		}
	}()
	last, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	kept = append(kept, last)
	short := sys.Rlimit{Soft: uint64(last.Fd()) + 1, Hard: before.Max}
	if err := sys.Setrlimit(syscall.RLIMIT_NOFILE, short); err != nil {
		return err
	}
	for { // the gaps below the last one
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		kept = append(kept, f)
	}
	applyErr := s.apply(sh("old", "exec sleep 99"), sh("new", "exec sleep 98"))
	oldNow := s.one("old").PID
	if err := sys.Setrlimit(syscall.RLIMIT_NOFILE,
		sys.Rlimit{Soft: before.Cur, Hard: before.Max}); err != nil {
		return err
	}
	if !strings.Contains(fmt.Sprint(applyErr), "too many open files") {
		return fmt.Errorf("start said %v", applyErr)
	}
	return errors.Join(want("process of the other", oldNow, old),
		s.until("new", func(st control.Status) bool { return st.Ready }))
}

// A shortage of processes or memory, as fork(2) tells it, is a crash like others: told, tried
// again, and over when it is over.
func TestForkShortage(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EAGAIN, syscall.ENOMEM} {
		t.Run(errno.Error(), func(t *testing.T) {
			bubble(t, func(b *bench) {
				running := b.put(plain("running"))
				b.up(running)
				s := b.put(plain("s"))
				b.k.set(func() {
					b.k.startErr = &spawn.StepError{Step: spawn.StepFork, Err: errno}
				})
				if err := b.Start(context.Background(), "s"); !errors.Is(err, errno) {
					t.Error(err)
				}
				time.Sleep(10 * time.Second)
				b.inOwner(func() {
					if s.State() != Backoff || !strings.Contains(s.Reason(), errno.Error()) ||
						running.State() != Ready {
						t.Errorf("%v: %s; the other is %v", s.State(), s.Reason(), running.State())
					}
				})
				b.k.set(func() { b.k.startErr = nil })
				time.Sleep(time.Minute)
				b.say(s, readyMessage)
				b.is(s, Ready, "")
			})
		})
	}
}

// What is remembered in the time of a clock that has been set since, either way, neither uses the
// budget up for ever nor gives it back.
func TestBudgetOverAClockThatWasSet(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) {
			s.Budget = spec.Budget{Restarts: new(2), Window: new(spec.Duration(time.Minute))}
			s.Backoff = spec.Backoff{First: new(spec.Duration(0))}
		}))
		b.up(s)
		b.inOwner(func() {
			r := s.Record()
			for range 2 {
				r.Window = append(r.Window, time.Now().Add(24*time.Hour).Round(0),
					time.Now().Add(-24*time.Hour).Round(0))
			}
			s.Place(r)
		})
		for range 2 {
			b.crash(s)
			b.is(s, Starting, "")
		}
		b.crash(s)
		b.is(s, Failed,
			"exited with status 1 before it was ready; restarted 2 times in 1m, no more")
	})
}
