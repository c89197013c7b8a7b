package supervise

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// asksToReload asks for the reload of s, by the command that it returns the pid of.
func (b *bench) asksToReload(s *service) (command int, answer chan error) {
	answer = make(chan error, 1)
	go func() { answer <- b.Reload(context.Background(), s.Spec().Name) }()
	synctest.Wait()
	b.k.set(func() { command = b.k.next })
	return command, answer
}

// A reload command that fails is told to who asked for that one.
func TestReloadCommandFails(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s",
			func(s *spec.Service) { s.ReloadCommand = spec.Command{"/bin/true"} }))
		b.up(s)
		one, fails := b.asksToReload(s)
		two, succeeds := b.asksToReload(s)
		b.k.die(one, exited(1))
		if err := <-fails; text(err) != "s: reload command: exited with status 1" {
			t.Errorf("%v", err)
		}
		b.k.die(two, exited(0))
		if err := <-succeeds; err != nil {
			t.Error(err)
		}
	})
}

// Nor does the end of one command answer who waits for the other.
func TestReloadCommandsEndApart(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s",
			func(s *spec.Service) { s.ReloadCommand = spec.Command{"/bin/true"} }))
		b.up(s)
		one, succeeds := b.asksToReload(s)
		two, fails := b.asksToReload(s)
		b.k.die(one, exited(0))
		if err := <-succeeds; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		b.k.die(two, exited(1))
		if err := <-fails; text(err) != "s: reload command: exited with status 1" {
			t.Errorf("%v", err)
		}
	})
}

// A reload that the service announces while the command runs is over with READY=1, and not with the
// command; it is not waited for for ever.
func TestReloadOutlastsItsCommand(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s",
			func(s *spec.Service) { s.ReloadCommand = spec.Command{"/bin/true"} }))
		b.up(s)
		command, answer := b.asksToReload(s)
		b.say(s, notify.Message{Reloading: true})
		b.k.die(command, exited(0))
		time.Sleep(29 * time.Second)
		if len(answer) > 0 {
			t.Error("answered before READY=1:", <-answer)
		}
		select {
		case err := <-answer:
			if !strings.HasSuffix(text(err), "not ready again within 30s") {
				t.Errorf("%v", err)
			}
		case <-time.After(time.Hour):
			t.Error("no answer")
		}
	})
}

// The process that was to reload is replaced: that is what who asked for it is told.
func TestReloadOfTheReplaced(t *testing.T) {
	bubble(t, func(b *bench) {
		b.shared.Kernel.Signal = func(int, syscall.Signal) error { return nil }
		s := b.put(plain("s", func(s *spec.Service) { s.Reload, s.Overlap = "HUP", true }))
		b.up(s)
		var next *service
		b.inOwner(func() { next = b.startReplacement(s, func(error) {}) })
		_, answer := b.asksToReload(s)
		b.say(next, readyMessage)
		if err := <-answer; text(err) != "s: reload: overtaken by a later rolling restart" {
			t.Errorf("%v", err)
		}
		b.shared.Kernel.Signal = b.k.signal
		b.k.die(s.PID(), exited(0))
		b.is(next, Ready, "")
	})
}
