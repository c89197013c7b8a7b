package supervise

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// TestRandomLives lets services that depend on each other live through whatever comes: no
// impossible cell is reached, what must hold holds, and at the end everything can be stopped and
// everybody has an answer.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Uint32(), 1, 60).Draw(rt, "steps")
		ok := t.Run("life", func(t *testing.T) {
			bubble(t, func(b *bench) { b.live(steps) })
		})
		if !ok {
			rt.Fatal("see above")
		}
	})
}

func (b *bench) live(steps []uint32) {
	all := []*service{
		b.put(plain("a")),
		b.put(plain("b", requires("a"), func(s *spec.Service) { s.Stop = spec.StopSchedule{{Signal: "INT", Wait: spec.Duration(time.Second)}} })),
		b.put(plain("c", requires("b"), func(s *spec.Service) { s.Restart = spec.RestartAlways; s.StopCommand = spec.Command{"/bin/true"} })),
		b.put(plain("d", func(s *spec.Service) { s.Type, s.Remain, s.After = spec.Oneshot, true, []string{"c"} })),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	asked, answered := 0, make(chan struct{}, len(steps)+1)
	request := func(f func(context.Context, ...string) error, names ...string) {
		asked++
		go func() { _ = f(ctx, names...); answered <- struct{}{} }() // any answer will do
	}
	var did []string
	for _, n := range steps {
		s := all[n%4]
		name, pid := s.Spec().Name, b.pidOf(s)
		what := n / 4 % 16
		did = append(did, fmt.Sprint(name, what))
		switch what {
		case 0, 1, 2:
			request(b.Start, name)
		case 3:
			request(b.Stop, name)
		case 4:
			request(b.Restart, name)
		case 5:
			request(b.Stop)
		case 6:
			request(b.Restart)
		case 7, 8:
			b.say(s, notify.Message{Ready: true})
		case 9:
			b.k.die(pid, exited(int(n/64%2)))
		case 10:
			b.k.adopt(pid)
		case 11:
			b.k.set(func() { b.k.deaf, b.k.slow = n/64%2 == 0, n/128%2 == 0 })
		case 12:
			b.say(s, notify.Message{Reloading: true, ExtendTimeout: time.Second})
		case 13:
			b.say(s, notify.Message{WatchdogTrigger: true, MainPID: b.k.adopt(pid)})
		case 14:
			b.inOwner(func() { b.unwant(all[n/64%4:], "several", orderStop) })
		case 15:
			time.Sleep(time.Duration(n/64%10000) * time.Millisecond)
		}
		if n/1024%2 == 0 {
			b.inOwner(b.check)
		}
	}
	b.inOwner(b.check)
	request(b.Stop)
	for range asked {
		<-answered
	}
	synctest.Wait()
	b.inOwner(func() {
		for _, s := range all {
			if s.State() != Stopped && ctx.Err() == nil && s.State() != Failed {
				b.Errorf("%s is %v after the stop", s.Spec().Name, s.State())
			}
		}
		if ctx.Err() != nil {
			b.Error("somebody had no answer for a day")
		}
		if len(b.troubles) > 0 {
			b.Errorf("%q", b.troubles)
		}
	})
	if b.Failed() {
		b.Log(did)
	}
}
