package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/launch/supervised"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// A supervisor dies without a word, and the next one goes on with the same sockets, taken from the
// services.
func TestSocketsOutliveTheirSupervisor(t *testing.T) {
	for name, pair := range afterlives {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("/tmp", "dmn")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			port := freePort(t)
			for _, scenario := range pair {
				cmd := stage.Command(t, scenario, dir)
				cmd.Env = append(os.Environ(), "SERVER="+server.Path(t), "KEEPER="+keeper.Path(t),
					"PORT="+port, "GORACE="+proctest.RaceSettings())
				cmd.Dir = "/"
				out, err := cmd.CombinedOutput()
				if killed := cmd.ProcessState.Sys().(syscall.WaitStatus); killed.Signaled() &&
					killed.Signal() == syscall.SIGKILL {
					continue
				}
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
		})
	}
}

// afterlives are scenarios that follow each other in one directory.
var afterlives = map[string][2]string{
	"killed":                   {"killed while web runs", "web is found with its socket"},
	"killed in rolling":        {"killed in a rolling restart", "the second process is ended"},
	"killed while both served": {"killed while the old one drains", "the second process is ended"},
}

// die ends the stage as kill -9 would.
func (s scene) die() error {
	err := os.WriteFile(s.path("pid"), fmt.Appendf(nil, "%d\n", s.one("web").PID), 0o600)
	if err != nil {
		return err
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	time.Sleep(time.Hour)
	return nil
}

var afterlifeScenarios = map[string]func(scene) error{
	"killed while web runs": func(s scene) error {
		one := web()
		one.Sockets = append(one.Sockets, spec.Socket{
			Name:   "ctl",
			Listen: spec.Address{Network: spec.NetFIFO, Addr: s.path("ctl")},
		})
		if err := s.apply(one); err != nil {
			return err
		}
		return s.die()
	},
	"web is found with its socket": func(s scene) error {
		old, err := s.awaitPID("pid")
		err = errors.Join(err, want("pid", s.one("web").PID, old))
		if scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); os.Geteuid() != 0 &&
			len(scope) > 0 && scope[0] != '0' {
			// What an ordinary user may not take is opened anew.
			if err = errors.Join(err, s.Restart(s, "web")); err == nil {
				_, _, err = get(s, "/")
			}
			return errors.Join(err, s.Remove(s, "web"))
		}
		socket, holdErr := s.holds("web")
		if err = errors.Join(err, holdErr); err != nil {
			return err
		}
		l := startLoad(s)
		err = errors.Join(l.more(s, 50), s.Restart(s, "web"), l.more(s, 50),
			s.RestartRolling(s, "web"), l.more(s, 50), l.end(), s.same("web", socket))
		err = errors.Join(err, want("other", s.one("web").PID != old, true), s.Remove(s, "web"))
		if _, statErr := os.Lstat(s.path("ctl")); !errors.Is(statErr, os.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("ctl is left: %v", statErr))
		}
		return err
	},
	"killed in a rolling restart": func(s scene) error {
		if err := s.apply(web(s.path("next"))); err != nil {
			return err
		}
		os.WriteFile(s.path("next"), []byte("hangs"), 0o600)
		go s.RestartRolling(s, "web")
		return s.besideThen(s.die)
	},
	"killed while the old one drains": func(s scene) error {
		one := web()
		// which it does not notice
		one.Stop = spec.StopSchedule{{Signal: "WINCH", Wait: spec.Duration(time.Hour)}}
		if err := s.apply(one); err != nil {
			return err
		}
		go s.RestartRolling(s, "web")
		return s.besideThen(s.die)
	},
	"the second process is ended": func(s scene) error {
		pid, err := s.awaitPID("pid")
		err = errors.Join(err, want("pid", s.one("web").PID, pid),
			want("state", s.one("web").State, Ready))
		for s.Err() == nil && s.oneProcess("web") != nil {
			s.ask(s, func() {
				for old := range s.services.Named("web").rolling.replaced {
					if old.PID() != 0 && strings.Contains(fmt.Sprint(old.Spec().Stop), "WINCH") {
						syscall.Kill(old.PID(), syscall.SIGKILL)
					}
				}
			})
			time.Sleep(time.Millisecond)
		}
		_, _, getErr := get(s, "/")
		return errors.Join(err, getErr, s.oneProcess("web"), want("pid", s.one("web").PID, pid),
			s.Signal(s, syscall.SIGKILL, "web"), s.Remove(s, "web"))
	},
}

// besideThen waits until two processes of web live and the journal says so.
func (s scene) besideThen(f func() error) error {
	for s.Err() == nil {
		journal, _ := os.ReadFile(s.dir + "/run/" + persist.JournalFile)
		ready := false
		s.ask(s, func() {
			main := s.services.Named("web")
			for _, one := range append(keys(main.rolling.replaced), main.rolling.replacement) {
				ready = ready ||
					one != nil && one.PID() != 0 &&
						strings.Contains(string(journal),
							fmt.Sprintf(`"beside":[{"invocation":%q,"main":{"pid":%d`,
								one.Invocation(), one.PID()))
			}
		})
		if ready {
			return f()
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("no second process")
}

func keys(m map[*service]struct{}) (list []*service) {
	for s := range m {
		list = append(list, s)
	}
	return list
}

// What a service has is listed for the next program, by which it is found again.
func TestHeldIsGivenBack(t *testing.T) {
	b := newBench(t)
	s := b.put(plain("s", func(s *spec.Service) {
		s.FDStore, s.Sockets = 3, []spec.Socket{
			{Listen: spec.Address{Network: spec.NetTCP, Addr: "127.0.0.1:" + freePort(t)}},
		}
	}))
	s.HoldSockets()
	if err := b.handover.Opener(&s.Service)(); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	b.handover.Store(&s.Service, s.Spec(), storeMessage("state"), []int{int(r.Fd())})
	r.Close()
	end := make(chan handover.ToProgram)
	go func() {
		p, err := b.Handover(t.Context())
		if err != nil {
			t.Error(err)
		}
		end <- p
	}()
	<-b.loop.Wake()
	b.loop.Run()
	next := <-end
	list := next.Held
	if len(list) != 2 || list[0].Socket == "" || list[1].Name != "state" || list[0].Service != "s" {
		t.Fatalf("%+v", next)
	}

	after := newBench(t)
	after.o.Handover = next
	after.handover = after.newHandover()
	again := after.put(*s.Spec())
	again.Place(lifecycle.Record{State: Waiting})
	after.adoptHeld(again)
	if got := after.heldForServices(); !reflect.DeepEqual(got, list) {
		t.Errorf("%+v, want %+v", got, list)
	}
	after.handover.CloseGiven()
	after.handover.Release(&again.Service)
	after.handover.Empty(&again.Service)
}

// An instance that is not about to start does not keep a socket that is described anew from those
// that are.
func TestInstancesLetGo(t *testing.T) {
	b := newBench(t)
	at := spec.Address{Network: spec.NetTCP, Addr: "127.0.0.1:" + freePort(t)}
	var list []*service
	for n := range 2 {
		list = append(list, b.put(plain(fmt.Sprintf("web@%d", n+1), func(s *spec.Service) {
			s.Instance, s.Sockets = n+1, []spec.Socket{{Listen: at, Backlog: 7 + n}}
		})))
	}
	for _, s := range list {
		s.HoldSockets()
		if err := b.handover.Opener(&s.Service)(); err != nil {
			t.Error(err)
		}
	}
	for _, s := range list {
		b.handover.Release(&s.Service)
	}
}

// areClosed waits until none of the descriptors is of what has that name.
func areClosed(t *testing.T, fds []int, name string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); len(fds) > 0; time.Sleep(time.Millisecond) {
		got, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fds[0]))
		if err != nil || !strings.HasPrefix(got, name) {
			fds = fds[1:]
		} else if time.Now().After(end) {
			t.Fatalf("%s is open", got)
		}
	}
}

// What the program before has handed over and nobody claims is closed.
func TestUnclaimedIsClosed(t *testing.T) {
	b := newBench(t)
	r, w, err := sys.NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", r))
	if err != nil {
		t.Fatal(err)
	}
	b.o.Handover = handover.ToProgram{
		Held: []handover.Descriptor{{Service: "gone", Name: "x", FD: r}}, Pipes: []int{w},
	}
	b.handover = b.newHandover()
	b.takeOver(kept.Left{}, nil)
	b.loop.Run()
	areClosed(t, []int{r, w}, name)
}

// Every FIFO that a service writes into is held while the program changes: what is in it would be
// gone with a service that ends meanwhile.
func TestPipesAreHandedOver(t *testing.T) {
	b := newBench(t)
	b.o.RuntimeDir = t.TempDir()
	log, err := logs.New(logs.Options{Dir: filepath.Join(b.o.RuntimeDir, logDir)})
	if err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(b.o.RuntimeDir, name) }
	config := logs.Config{Path: path("out"), ErrPath: path("err")}
	if _, err := log.Open("s", config); err != nil {
		t.Fatal(err)
	}
	ready, theirs, err := supervised.MakeReadyPipe(b.readyPipe("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	defer theirs.Close()
	var pipes []int
	fails, reply := errors.New("it fails"), make(chan error, 1)
	b.beginStill(func(p handover.ToProgram) error {
		pipes = p.Pipes
		return fails
	}, reply)
	if err := <-reply; !errors.Is(err, fails) || len(pipes) != 3 {
		t.Errorf("%v, %v", pipes, err)
	}
	areClosed(t, pipes, b.o.RuntimeDir)
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

func storeMessage(name string) notify.Message { return notify.Message{FDStore: true, FDName: name} }
