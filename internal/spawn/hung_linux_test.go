package spawn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

var errImpatient = errors.New("the time is over")

// briefly is a context that ends in a second.
func briefly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errImpatient)
	t.Cleanup(cancel)
	return ctx
}

// patiently gives start a second, and more if on a busy machine that was not enough for a stage to
// begin, or to come to what hangs.
func patiently(start func(context.Context) error) (err error) {
	for limit := time.Second; limit < 30*time.Second; limit *= 2 {
		ctx, cancel := context.WithTimeoutCause(context.Background(), limit, errImpatient)
		err = start(ctx)
		cancel()
		if err == nil || !strings.HasPrefix(err.Error(), "start stage: ") {
			break
		}
	}
	return err
}

// hanging is a start that a file system does not answer, and what its error says.
type hanging struct {
	name, want string
	spec       *Spec
}

// program is one whose program's file cannot be opened.
func program(name, path string) hanging {
	want := "execute " + path + ": the file system has not answered: the time is over"
	return hanging{name, want, &Spec{Path: path, Args: []string{"x"}, Dir: "/"}}
}

// heldOpen is one whose program somebody has a lease on. It hangs for 45 s from the first that
// opens the file, so each test has its own.
func heldOpen(t *testing.T) hanging {
	held := filepath.Join(t.TempDir(), "held")
	if err := os.WriteFile(held, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	proctest.HoldOpens(t, held)
	return program("held", held)
}

// allHanging are those that stay so, as far as the user may make them.
func allHanging(t *testing.T) (list []hanging) {
	if os.Getuid() != 0 {
		return list
	}
	for _, how := range []proctest.Silence{proctest.NeverBegun, proctest.Deaf, proctest.NamesOnly} {
		dir := proctest.HungFS(t, how)
		inside := sleep()
		inside.Dir = dir + "/dir"
		list = append(list, program(string(how)+": program", dir+"/prog"), hanging{
			string(how) + ": directory",
			"change directory to " + dir +
				"/dir: the file system has not answered: the time is over",
			inside,
		})
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!"+list[len(list)-2].spec.Path+"\n"),
		0o755); err != nil {
		t.Fatal(err)
	}
	return append(list, program("interpreter", script))
}

// TestHungHoldsNobodyElse starts what hangs, in each way, and others meanwhile.
func TestHungHoldsNobodyElse(t *testing.T) {
	proctest.CheckLeaks(t)
	sp := NewSpawner()
	t.Cleanup(sp.Close)
	for _, h := range append(allHanging(t), hanging{name: "held"}) {
		for _, way := range []struct {
			name  string
			start func(context.Context, *Spec) error
		}{
			{"Start",
				func(ctx context.Context, s *Spec) error { _, err := Start(ctx, s); return err }},
			{
				"Spawner",
				func(ctx context.Context, s *Spec) error { _, err := sp.Start(ctx, s); return err },
			},
			{"Spawner, nice",
				func(ctx context.Context, s *Spec) error {
					s.Nice = new(19)
					_, err := sp.Start(ctx, s)
					return err
				}},
			{"Detach",
				func(ctx context.Context, s *Spec) error { _, err := Detach(ctx, s); return err }},
		} {
			t.Run(h.name+" "+way.name, func(t *testing.T) {
				t.Parallel()
				h := h
				if h.spec == nil {
					h = heldOpen(t)
				}
				s := *h.spec
				s.Umask = new(0o022)
				failed := make(chan error, 1)
				go func() {
					failed <- patiently(func(ctx context.Context) error {
						return way.start(ctx, &s)
					})
				}()
				for range 3 {
					if err := startsAndEnds(sp); err != nil {
						t.Error("another one:", err)
					}
				}
				select {
				case err := <-failed:
					if err == nil || !strings.HasPrefix(err.Error(), h.want) ||
						!errors.Is(err, errImpatient) {
						t.Errorf("%v\nnot %s", err, h.want)
					}
				case <-time.After(time.Minute):
					t.Error("still waits")
				}
			})
		}
	}
}

// startsAndEnds starts a process from the kept thread.
func startsAndEnds(sp *Spawner) error {
	s := sleep()
	s.Umask = new(0o022)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pid, err := sp.Start(ctx, s)
	if err != nil {
		return err
	}
	return end(pid)
}

// TestHeldThread has the kept thread held up, as by a disk that does not answer.
func TestHeldThread(t *testing.T) {
	proctest.CheckLeaks(t)
	sp := NewSpawner()
	t.Cleanup(sp.Close)
	d := sleep().describe()
	a := newAttempt(&d)
	hang := make(chan struct{})
	d.reached = func(step Step, object string) {
		a.at.set(step, object)
		<-hang
	}
	sp.jobs <- a
	failed := make(chan error)
	go func() {
		_, err := a.outcome(briefly(t), func() { sp.hold(a) })
		failed <- err
	}()
	for range 3 {
		if err := startsAndEnds(sp); err != nil {
			t.Error("another one:", err)
		}
	}
	err := <-failed
	stuck, ok := errors.AsType[*sys.StuckError](err)
	if !ok ||
		err.Error() != "change directory to /: the file system has not answered: the time is over" {
		t.Fatal(err)
	}
	select {
	case <-stuck.Returned:
		t.Error("it has come back")
	default:
	}
	close(hang)
	<-stuck.Returned
	if !errors.Is(a.err, errGivenUp) {
		t.Errorf("what was given up has gone on: process %d, %v", a.pid, a.err)
	}
	proctest.Eventually(t, time.Minute, func() error {
		if sp.held.Load() {
			return errors.New("the thread still counts as held up")
		}
		return nil
	})
	if err := startsAndEnds(sp); err != nil {
		t.Error(err)
	}
}

// leaver leaves a program behind that the arguments name, with the directory to enter.
var leaver = proctest.Register("leaver", func(args []string) int {
	fmt.Println(patiently(func(ctx context.Context) error {
		_, err := LeaveBehind(ctx, &Spec{Path: args[0], Args: []string{"x"}, Dir: args[1]})
		if errors.Is(err, ErrNeedsWatcher) {
			_, err = Detach(ctx,
				&Spec{Path: args[0], Args: []string{"x"}, Dir: args[1], LetGo: true})
		}
		return err
	}))
	return 0
})

// TestHungLeaveBehind is about a command that has nothing else to do, on one processor: it says
// what there is to say. Where its own question makes it wait in the kernel, and not to be killed
// (Deaf), it cannot end before the file system has answered.
func TestHungLeaveBehind(t *testing.T) {
	proctest.CheckLeaks(t)
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	for _, h := range append(allHanging(t), heldOpen(t)) {
		cmd := leaver.Command(t, h.spec.Path, h.spec.Dir)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		words := make(chan string, 1)
		all.Go(func() {
			line, _ := bufio.NewReader(out).ReadString('\n')
			words <- line
			_ = cmd.Wait()
		})
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			select {
			case line := <-words:
				if !strings.HasPrefix(line, h.want) {
					t.Errorf("%s\nnot %s", line, h.want)
				}
			case <-time.After(time.Minute):
				t.Error("still waits")
			}
		})
	}
}

func TestInterpreterIn(t *testing.T) {
	if name := interpreterIn([]byte("#! /bin/x y\n")); name != "/bin/x" {
		t.Errorf("script: %q", name)
	}
	exe, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if name := interpreterIn(exe[:4096]); !strings.HasPrefix(name, "/") ||
		!strings.Contains(string(exe), name+"\x00") {
		t.Errorf("/bin/sh: %q", name)
	}
	for n := range 600 { // a head that is cut anywhere
		interpreterIn(exe[:n])
	}
}
