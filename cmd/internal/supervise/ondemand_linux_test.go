package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

func (s scene) state(name string, state control.State) error {
	return s.until(name, func(st control.Status) bool { return st.State == state })
}

var onDemandScenarios = map[string]func(scene) error{
	"on demand": func(s scene) error {
		one := web()
		one.OnDemand = true
		after := sh("after", "exec sleep 99", requires("web"))
		if err := s.apply(one, after); err != nil {
			return err
		}
		st := s.one("web")
		if err := errors.Join(want("state", st.State, Listening), want("pid", st.PID, 0),
			want("ready", st.Ready, true), want("after", s.one("after").Ready, true)); err != nil {
			return err
		}
		// Several at once: one start, and all are answered.
		var all sync.WaitGroup
		errs := make(chan error, 8)
		for range cap(errs) {
			all.Go(func() {
				_, _, err := get(s, "/")
				errs <- err
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
		if err := s.state("web", Ready); err != nil { // it may answer before we know that it runs
			return err
		}
		first := s.one("web")
		if err := want("starts", len(s.order(Ready)), 2); err != nil {
			return err
		}
		// A good end goes back to waiting; so does a crash, by way of the restart policy.
		err := errors.Join(s.Signal(s, 15, "web"), s.state("web", Listening))
		pid, _, getErr := get(s, "/")
		if err = errors.Join(err, getErr); err != nil || pid == first.PID {
			return fmt.Errorf("again: %d, %v", pid, err)
		}
		get(s, "/crash")
		if err := s.until("web", func(st control.Status) bool {
			return st.State == Listening && st.Restarts == 1
		}); err != nil {
			return err
		}
		_, _, err = get(s, "/")
		// A restart goes back to waiting; an edit while waiting holds from the next start on.
		err = errors.Join(err, s.Restart(s, "web"), s.state("web", Listening))
		edited := web("edited")
		edited.OnDemand = true
		err = errors.Join(err, s.apply(edited, after), s.state("web", Listening))
		_, args, getErr := get(s, "/")
		err = errors.Join(err, getErr, want("args", args, "edited"))
		// Stopped is stopped: nobody starts it by connecting.
		err = errors.Join(err, s.Stop(s, "web"))
		if _, _, getErr := get(s, "/"); getErr == nil {
			err = errors.Join(err, errors.New("a stopped service answers"))
		}
		return errors.Join(err, want("state", s.one("web").State, Stopped),
			want("open", s.open(), 0))
	},
	"on demand, instances": func(s scene) error {
		two := web()
		two.OnDemand, two.Instances = true, 2
		if err := s.apply(two); err != nil {
			return err
		}
		_, _, err := get(s, "/")
		return errors.Join(err, s.state("web@1", Ready), s.state("web@2", Ready), s.Stop(s, "web"))
	},
	"on demand, and it does not accept": func(s scene) error {
		one := sh("one", "exit 0")
		one.Sockets, one.OnDemand, one.Budget.Restarts = web().Sockets, true, new(2)
		if err := s.apply(one); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", "127.0.0.1:"+os.Getenv("PORT"))
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := s.state("one", Failed); err != nil {
			return err
		}
		if reason := s.one("one").Reason; !strings.Contains(reason,
			"exited with status 0, and somebody waits to be accepted; restarted 2 times") {
			return errors.New(reason)
		}
		// Given up: who waited is told, and who comes is refused.
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil ||
			errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("still connected: %v", err)
		}
		return nil
	},
	"idle": func(s scene) error {
		for _, network := range []spec.Network{spec.NetTCP, spec.NetUnix} {
			one := web()
			one.OnDemand, one.IdleStop = true, spec.Duration(300*time.Millisecond)
			dial := func() (net.Conn, error) {
				return net.Dial("tcp", "127.0.0.1:"+os.Getenv("PORT"))
			}
			if network == spec.NetUnix {
				one.Sockets[0].Listen = spec.Address{Network: network, Addr: s.path("sock")}
				dial = func() (net.Conn, error) { return net.Dial("unix", s.path("sock")) }
			}
			if err := s.apply(one); err != nil {
				return err
			}
			conn, err := dial()
			if err != nil {
				return err
			}
			if err := s.state("web", Ready); err != nil {
				return err
			}
			// As long as somebody is connected it runs, though nothing is said.
			end := time.Now().Add(time.Second)
			for ; time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if st := s.one("web"); st.State != Ready {
					return fmt.Errorf("%s: %v while connected: %s", network, st.State, st.Reason)
				}
			}
			closed := time.Now()
			conn.Close()
			if err := s.state("web", Listening); err != nil {
				return err
			}
			if spent := time.Since(closed); spent < time.Duration(one.IdleStop) {
				return fmt.Errorf("%s: stopped %v after the last connection", network, spent)
			}
			if conn, err = dial(); err != nil {
				return err
			}
			if err := errors.Join(s.state("web", Ready), conn.Close(),
				s.Remove(s, "web")); err != nil {
				return err
			}
		}
		return nil
	},
}

// TestIdle has the clock of a test pass: a look that sees somebody, or cannot see, begins the wait
// anew.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := b.put(plain("s", func(s *spec.Service) {
			s.IdleStop = spec.Duration(time.Minute)
		}))
		end := b.run()
		b.up(s)
		b.becomesOnDemand(s)
		for _, c := range []struct {
			n   int
			err error
		}{{1, nil}, {0, context.DeadlineExceeded}} {
			b.k.set(func() { b.k.connected, b.k.connErr = c.n, c.err })
			time.Sleep(10 * time.Minute)
			b.is(s, Ready, "")
		}
		b.k.set(func() { b.k.connErr = nil })
		time.Sleep(50 * time.Second)
		b.is(s, Ready, "")
		b.k.set(func() { b.k.connected = 1 })
		time.Sleep(8 * time.Second)
		b.k.set(func() { b.k.connected = 0 })
		time.Sleep(50 * time.Second)
		b.is(s, Ready, "")
		time.Sleep(20 * time.Second)
		b.inOwner(func() {
			if s.State() != Listening || s.Exit() == nil || s.Restarts() != 0 {
				t.Errorf("%v: %v, %d restarts", s.State(), s.Exit(), s.Restarts())
			}
		})
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// A service that reloads is not idle, and one that may be idle for long is looked at as often as
// others.
func TestIdleAfterAll(t *testing.T) {
	for limit, late := range map[time.Duration]time.Duration{
		time.Minute: 15 * time.Second, 24 * time.Hour: time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			s := b.put(plain("s", func(s *spec.Service) {
				s.IdleStop, s.Timeout = spec.Duration(limit), new(spec.Forever)
			}))
			end := b.run()
			b.up(s)
			b.becomesOnDemand(s)
			b.say(s, notify.Message{Reloading: true})
			time.Sleep(3 * limit)
			b.is(s, Ready, "")
			b.say(s, readyMessage)
			time.Sleep(limit + late)
			b.is(s, Listening, "")
			if err := end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// becomesOnDemand describes a service that is up as one on demand: nobody has to connect first.
func (b *bench) becomesOnDemand(s *service) {
	b.inOwner(func() {
		described := s.Spec().Clone()
		described.OnDemand = true
		s.Describe(described)
		s.Redescribed()
	})
}
