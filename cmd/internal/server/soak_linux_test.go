//go:build linux

package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// soak is a time in which services are killed and the API is asked, all the time.
type soak struct {
	*supervisor
	names []string
	kills []int // per service
	asked int   // answers of the API
}

// soakLines is how many lines a service prints when it starts.
const soakLines = 20

// soaker counts how often it was started, and prints numbered lines before it says that it is
// ready.
func soaker(name, dir string) spec.Service {
	script := fmt.Sprintf(`run=0; test -e %[1]s && read run <%[1]s; run=$((run+1)); echo $run >%[1]s
		n=0; while [ $n -lt %d ]; do n=$((n+1)); echo "$run $n"; done; echo >&3; exec sleep 1000 3>&-`,
		filepath.Join(dir, name), soakLines)
	s := spec.Service{
		Name:    name,
		Command: spec.Command{"sh", "-c", script},
		Ready:   spec.Probe{Kind: spec.ProbeFD, FD: 3},
	}
	s.Timeout = new(spec.Duration(2 * time.Minute))
	s.Backoff.First, s.Backoff.Cap = new(spec.Duration(10*time.Millisecond)),
		new(spec.Duration(100*time.Millisecond))
	s.Budget.Restarts = new(-1)
	return s
}

// TestSoak kills a service every 10 ms while several clients ask. At the end every state is right,
// nothing has leaked, and the log of each is complete and in order. SOAK=full is a thousand
// services for a minute.
func TestSoak(t *testing.T) {
	services, length := 60, 3*time.Second
	if os.Getenv("SOAK") == "full" {
		services, length = 1000, time.Minute
	}
	proctest.CheckLeaks(t)
	s := &soak{supervisor: startSupervisor(t, shortDir(t), nil), kills: make([]int, services)}
	counts := t.TempDir()
	apply := control.ApplyRequest{Source: "/soak.toml"}
	for i := range services {
		s.names = append(s.names, fmt.Sprintf("s%04d", i))
		apply.Services = append(apply.Services, soaker(s.names[i], counts))
	}
	began := time.Now()
	if _, err := s.Apply(t.Context(), apply); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d services ready in %v", services, time.Since(began).Round(time.Millisecond))
	before := s.use(t)

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	s.run(ctx, t)
	s.settle(t)
	after := s.use(t)
	t.Logf("%d killed; asked %d times; before %+v, after %+v", sum(s.kills), s.asked, before, after)
	if after.files > before.files+8 || after.goroutines > before.goroutines+8 ||
		after.heap > before.heap*3/2+8<<20 {
		t.Errorf("leaked: before %+v, after %+v", before, after)
	}
	if err := s.Stop(t.Context(), control.Names{All: true}); err != nil {
		t.Error(err)
	}
	s.checkLogs(t)
}

func sum(list []int) (n int) {
	for _, k := range list {
		n += k
	}
	return n
}

// run kills one after the other, and has four clients ask.
func (s *soak) run(ctx context.Context, t *testing.T) {
	var asking sync.WaitGroup
	asked := make([]int, 4)
	for i := range asked {
		asking.Go(func() { asked[i] = s.ask(ctx, t, i) })
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(s.names) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			asking.Wait()
			s.asked = sum(asked)
			return
		}
		if err := s.kill(t.Context(), i); err != nil {
			t.Errorf("kill %s: %v", s.names[i], err)
		}
	}
}

// kill kills a service if it is ready: only then it has printed all its lines.
func (s *soak) kill(ctx context.Context, i int) error {
	list, err := s.Status(ctx, control.StatusRequest{Names: []string{s.names[i]}})
	if err != nil {
		return err
	}
	if list[0].State != control.Ready {
		return nil
	}
	s.kills[i]++
	return s.Signal(ctx, control.SignalRequest{Names: control.Named(s.names[i]), Signal: "KILL"})
}

// ask asks 25 times a second, each client for something else, and counts the answers.
func (s *soak) ask(ctx context.Context, t *testing.T, client int) (n int) {
	c := &control.Client{Socket: s.paths.Socket()}
	defer c.Close()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return n
		}
		var err error
		switch client {
		case 0:
			var list []control.Status
			list, err = c.Status(t.Context(), control.StatusRequest{})
			if err == nil && len(list) != len(s.names) {
				err = fmt.Errorf("%d services", len(list))
			}
		case 1:
			_, err = c.Supervisor(t.Context())
		case 2:
			_, err = c.Status(t.Context(),
				control.StatusRequest{Names: s.names[n%len(s.names):][:1], Usage: true})
		default:
			_, err = c.Health(t.Context())
		}
		if err != nil {
			t.Errorf("client %d: %v", client, err)
			return n
		}
		n++
	}
}

// settle waits until all are ready again, and compares how often each was started with how often it
// was killed.
func (s *soak) settle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		list, err := s.Status(t.Context(), control.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		wrong := slices.DeleteFunc(list, func(st control.Status) bool {
			i := slices.Index(s.names, st.Name)
			return st.State == control.Ready && st.Restarts == s.kills[i] && proctest.Alive(st.PID)
		})
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d services are not as they should be, such as %+v", len(wrong), wrong[0])
		}
	}
}

// checkLogs wants every line of every run, in order.
func (s *soak) checkLogs(t *testing.T) {
	t.Helper()
	for i, name := range s.names {
		f, err := os.Open(filepath.Join(s.paths.Log, name+".log"))
		if err != nil {
			t.Error(err)
			continue
		}
		lines := bufio.NewScanner(f)
		for want := range (s.kills[i] + 1) * soakLines {
			text := fmt.Sprintf("%d %d", want/soakLines+1, want%soakLines+1)
			if !lines.Scan() || lines.Text() != text {
				t.Errorf("%s: %q in the place of %q", name, lines.Text(), text)
				break
			}
		}
		if !t.Failed() && lines.Scan() {
			t.Errorf("%s: %q after the last line", name, lines.Text())
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			t.Error(err)
		}
	}
}

// use is what the whole process, clients and all, has in use when nothing happens.
type use struct {
	files, goroutines int
	heap              uint64
}

func (s *soak) use(t *testing.T) use {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools are emptied at the second
	runtime.ReadMemStats(&m)
	return use{len(open), runtime.NumGoroutine(), m.HeapAlloc}
}

// TestDeathIsSeenAtOnce kills a service whose child holds its output open, and measures until the
// event.
func TestDeathIsSeenAtOnce(t *testing.T) {
	proctest.CheckLeaks(t)
	s := startSupervisor(t, shortDir(t), nil)
	holder := spec.Service{
		Name:    "a",
		Command: spec.Command{"sh", "-c", "sleep 1000 & echo >&3; wait"},
		Ready:   spec.Probe{Kind: spec.ProbeFD, FD: 3},
	}
	holder.Backoff.First, holder.Budget.Restarts = new(spec.Duration(0)), new(-1)
	if _, err := s.Apply(t.Context(),
		control.ApplyRequest{Services: []spec.Service{holder}}); err != nil {
		t.Fatal(err)
	}
	var times []time.Duration
	for round := range 20 {
		killed := time.Now()
		if err := s.Signal(t.Context(),
			control.SignalRequest{Names: control.Named("a"), Signal: "KILL"}); err != nil {
			t.Fatal(err)
		}
		times = append(times, s.awaitRestart(t, round+1).Sub(killed))
	}
	slices.Sort(times)
	t.Logf("from the kill to the next process: median %v, longest %v",
		times[len(times)/2], times[len(times)-1])
	if times[len(times)/2] > 2*time.Second {
		t.Errorf("a death is acted on %v after it", times[len(times)/2])
	}
}

// awaitRestart waits for the n-th restart, and says when its process was started.
func (s *supervisor) awaitRestart(t *testing.T, n int) time.Time {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for ; time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		list, err := s.Status(t.Context(), control.StatusRequest{Names: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		if st := list[0]; st.Restarts == n && st.State == control.Ready {
			return st.Started
		}
	}
	t.Fatal("it does not come back")
	return time.Time{}
}
