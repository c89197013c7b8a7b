package supervise

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// A service under a new name starts when the one of the old name has gone; others do not wait for
// that.
func TestRenamedServiceFollows(t *testing.T) {
	run := func(c *spec.Service) {
		c.Command, c.Stop = spec.Command{"/bin/true", "--port", "80"}, nil
		twoSteps(c)
	}
	ready := func(c *spec.Service) { c.Ready = spec.Probe{Kind: spec.ProbeExec} }
	bubble(t, func(b *bench) {
		apply := func(list ...spec.Service) {
			_, err := b.Apply(context.Background(), Apply{Services: list, Source: "file"})
			if err != nil {
				t.Error(err)
			}
		}
		apply(plain("old", run, ready))
		b.k.set(func() { b.k.deaf = true })
		go apply(plain("new", run, ready), plain("other", ready))
		time.Sleep(14 * time.Second)
		synctest.Wait()
		b.is(b.named("new"), Waiting, "waits for old to end")
		b.is(b.named("other"), Ready, "")
		time.Sleep(2 * time.Second)
		b.is(b.named("new"), Ready, "")
		if b.named("old") != nil {
			t.Error("the old one is there")
		}
		b.k.set(func() { b.k.deaf = false })
	})
}

// TestRenamedServiceFollowsNoMore: the old name is started again while it is being ended, so there
// is nothing to wait for.
func TestRenamedServiceFollowsNoMore(t *testing.T) {
	run := func(c *spec.Service) {
		c.Command, c.Stop = spec.Command{"/bin/true", "--port", "80"}, nil
		twoSteps(c)
	}
	ready := func(c *spec.Service) { c.Ready = spec.Probe{Kind: spec.ProbeExec} }
	bubble(t, func(b *bench) {
		apply := func(name string) error {
			_, err := b.Apply(context.Background(),
				Apply{Services: []spec.Service{plain(name, run, ready)}, Source: "file"})
			return err
		}
		if err := apply("old"); err != nil {
			t.Error(err)
		}
		b.k.set(func() { b.k.deaf = true })
		overtaken := make(chan error, 1)
		go func() { overtaken <- apply("new") }()
		time.Sleep(time.Second)
		b.is(b.named("new"), Waiting, "waits for old to end")
		go b.Start(context.Background(), "old")
		time.Sleep(time.Second)
		b.is(b.named("new"), Ready, "")
		if err := <-overtaken; err == nil || err.Error() != "old: up: overtaken by a later start" {
			t.Error(err)
		}
		b.k.set(func() { b.k.deaf = false })
	})
}
