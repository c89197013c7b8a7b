package supervise

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/daemonry/daemonry/cmd/internal/waiters"
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

// lives describes services that depend on each other: those of the file whose bit is set, and
// instances of w. Each depends only on what is there.
func lives(bits uint32, instances int) (list []spec.Service) {
	there := map[string]bool{"w": instances > 0}
	for i, one := range []spec.Service{
		plain("a"),
		plain("b", requires("a"), func(s *spec.Service) {
			s.Stop = spec.StopSchedule{{Signal: "INT", Wait: spec.Duration(time.Second)}}
		}),
		plain("c", requires("b", "w"), func(s *spec.Service) {
			s.Restart, s.StopCommand = spec.RestartAlways, spec.Command{"/bin/true"}
		}),
		plain("d", func(s *spec.Service) {
			s.Type, s.Remain, s.After = spec.Oneshot, true, []string{"c"}
		}),
	} {
		if bits>>i%2 == 0 {
			continue
		}
		there[one.Name] = true
		one.Requires = slices.DeleteFunc(one.Requires,
			func(name string) bool { return !there[name] })
		list = append(list, one)
	}
	if instances > 0 {
		w := plain("w", func(s *spec.Service) { s.Instances = instances })
		if there["a"] {
			w.Wants = []string{"a"}
		}
		list = append(list, w)
	}
	return list
}

func (b *bench) live(steps []uint32) {
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	asked, answered := 0, make(chan struct{}, len(steps)+2)
	request := func(f func(context.Context, ...string) error, names ...string) {
		asked++
		go func() { _ = f(ctx, names...); answered <- struct{}{} }() // any answer will do
	}
	apply := func(bits uint32, instances int) {
		request(func(ctx context.Context, _ ...string) error {
			_, err := b.Apply(ctx,
				Apply{Services: lives(bits, instances), Source: "file", NoStart: bits == 0xf})
			return err
		})
	}
	apply(0xf, 0)
	var did []string
	for _, n := range steps {
		name, what, how := []string{"a", "b", "c", "d", "w@1", "w@2"}[n%6], n/6%18, n/108
		did = append(did, fmt.Sprint(name, what))
		s := b.named(name)
		switch {
		case what <= 2:
			request(b.Start, name)
		case what == 3:
			request(b.Stop, name)
		case what == 4:
			request(b.Restart, name)
		case what == 5:
			request(b.Stop)
		case what == 6:
			request(b.Restart)
		case what == 7:
			request(b.Remove, name)
		case what == 8 || s == nil:
			apply(how%16, int(how/16%3))
		default:
			b.undergo(s, what, how)
		}
		if how/16%2 == 0 {
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
		for _, s := range b.services.Sorted() {
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

// undergo has something happen to s that nobody has asked for by its name.
func (b *bench) undergo(s *service, what, how uint32) {
	pid := b.pidOf(s)
	switch what {
	case 9, 10:
		b.say(s, notify.Message{Ready: true})
	case 11:
		b.k.die(pid, exited(int(how%2)))
	case 12:
		b.k.adopt(pid)
	case 13:
		b.k.set(func() { b.k.deaf, b.k.slow = how%2 == 0, how/2%2 == 0 })
	case 14:
		b.say(s, notify.Message{Reloading: true, ExtendTimeout: time.Second})
	case 15:
		b.say(s, notify.Message{WatchdogTrigger: true, MainPID: b.k.adopt(pid)})
	case 16:
		b.inOwner(func() { b.unwant(b.services.Sorted()[how%2:], "several", waiters.Stop) })
	case 17:
		time.Sleep(time.Duration(how%10000) * time.Millisecond)
	}
}
