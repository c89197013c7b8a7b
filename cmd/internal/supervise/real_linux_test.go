package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// The engine makes its process a subreaper and reaps whatever dies there: so each scenario has a
// process of its own.
var stage = proctest.Register("stage", func(args []string) int {
	if err := perform(args[0], args[1]); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

// teller sends one message to its NOTIFY_SOCKET and waits until it was taken in; then it sleeps.
var teller = proctest.Register("teller", func(args []string) int {
	c := notify.Client{}
	for _, m := range args {
		parsed, err := notify.Parse([]byte(strings.ReplaceAll(m, ",", "\n")))
		if err == nil {
			_, err = c.Send(parsed)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	time.Sleep(time.Hour)
	return 0
})

func TestOnTheKernel(t *testing.T) {
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Not t.TempDir, in which a socket's path would be too long (unix(7): 107 bytes).
			dir, err := os.MkdirTemp("/tmp", "dmn")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			cmd := stage.Command(t, name, dir)
			// or each process of a race build takes a second to end
			cmd.Env = append(os.Environ(), "TELLER="+teller.Path(t), "BARRIER="+barrier.Path(t),
				"FEEDER="+feeder.Path(t), "GORACE="+proctest.RaceSettings())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// tell prints what the engine tells. A state that changes while nothing happens is never right.
func tell(err error) {
	if strings.Contains(err.Error(), lifecycle.Unhappened) {
		panic(err)
	}
	fmt.Println("trouble:", err)
}

// scene is an engine that runs, in a process of its own.
type scene struct {
	*Engine
	context.Context
	dir string
}

func (s scene) path(name string) string { return filepath.Join(s.dir, name) }

func newScene(dir string) (scene, func() error, error) {
	o := Options{
		RuntimeDir: dir + "/run",
		StateDir:   dir + "/state",
		LogDir:     dir + "/log",
		Cgroup:     os.Getenv("SCENE_CGROUP"),
		Trouble:    tell,
	}
	for _, d := range []string{o.RuntimeDir, o.StateDir, o.LogDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return scene{}, nil, err
		}
	}
	e, err := New(o)
	if err != nil {
		return scene{}, nil, err
	}
	e.Restore()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	stop, quit := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(stop) }()
	return scene{e, ctx, dir}, func() error { quit(); defer cancel(); return <-done }, nil
}

// perform runs a scenario and sees that nothing is left of it.
func perform(name, dir string) error {
	s, end, err := newScene(dir)
	if err != nil {
		return err
	}
	err = scenario(name)(s)
	if err != nil {
		past, _, _ := s.Subscribe(context.Background(), 0) // s may be over
		for _, ev := range past {
			fmt.Println(ev.Service, ev.Kind, ev.State, ev.Reason)
		}
	}
	err = errors.Join(err, end())
	if check := afterwards[name]; check != nil {
		err = errors.Join(err, check(s))
	}
	children, childErr := sys.Children()
	if len(children) > 0 {
		err = errors.Join(err, fmt.Errorf("children are left: %v", children))
	}
	return errors.Join(err, childErr)
}

func sh(name, script string, change ...func(*spec.Service)) spec.Service {
	s := spec.Service{
		Name:    name,
		Command: spec.Command{"/bin/sh", "-c", script},
		Ready:   spec.Probe{Kind: spec.ProbeExec},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

func (s scene) apply(services ...spec.Service) error {
	_, err := s.Apply(s, Apply{Source: "test", Services: services})
	return err
}

// awaitFile waits for a file with a pid in it.
func (s scene) awaitPID(name string) (int, error) {
	for s.Err() == nil {
		b, _ := os.ReadFile(s.path(name))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil &&
			strings.HasSuffix(string(b), "\n") {
			return pid, nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, fmt.Errorf("no pid in %s", name)
}

func (s scene) one(name string) control.Status {
	list, err := s.Status(s, name)
	if err != nil {
		return control.Status{Reason: err.Error()}
	}
	return list[0]
}

// until waits for a status.
func (s scene) until(name string, ok func(control.Status) bool) error {
	for s.Err() == nil {
		if ok(s.one(name)) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("in the end: %+v", s.one(name))
}

func want(what string, got, want any) error {
	if got != want {
		return fmt.Errorf("%s: %v, want %v", what, got, want)
	}
	return nil
}

// states returns the services in the order in which they got into a state.
func (s scene) order(state control.State) (names []string) {
	past, sub, err := s.Subscribe(s, 0)
	if err == nil {
		sub.Close()
	}
	for _, ev := range past {
		if ev.Kind == control.EventState && ev.State == state && ev.From != state {
			names = append(names, ev.Service)
		}
	}
	return names
}

var scenarios = map[string]func(scene) error{
	"no descriptor is left for a while":              runOutOfDescriptors,
	"liveness: grace and threshold":                  checkLiveness,
	"a start as another user: dumpable":              startAsAnother,
	"WATCHDOG=1 stays out":                           missWatchdog,
	"EXTEND_TIMEOUT_USEC and STOPPING=1":             extendTimeout,
	"MAINPID= of a child":                            changeMainPID,
	"who is stopped hears that it is to end":         endStopped,
	"BARRIER=1 is answered when all is taken in":     askBarrier,
	"shutdown order over many services":              upInLayers,
	"last words are those of the last run":           hearLastWords,
	"logs are opened anew":                           renameLogs,
	"control group: who hides from everything else":  groupCatchesEscapee,
	"control group: below one that is named":         groupBelowNamed,
	"control group: a stop command comes to its end": groupSparesStopCommand,
	"control group: a limit without its controller":  groupNamesController,
	"log program gets every line, its successor too": pipeIntoPrograms,
	"log program that does not end is killed":        pipeIntoDeaf,
	"log program is none of its service's processes": pipeOutlivesService,
	"the log of a start under way is opened once": func(s scene) (err error) {
		one := s.newService(sh("a", "exec sleep 99").WithDefaults(), "", nil)
		t := &takeover{e: s.Engine, again: []*service{one}, missing: []*service{one}}
		askErr := s.ask(s, func() {
			one.Place(lifecycle.Record{State: Starting})
			told := s.o.Trouble
			s.o.Trouble = func(e error) { err = errors.Join(err, e) }
			t.openLogs()
			s.o.Trouble = told
			one.LeaveAlone("")
			if one.Stream() == nil {
				err = errors.Join(err, errors.New("it is not open"))
				return
			}
			_ = s.procs.Forget(&one.Unit)
			err = errors.Join(err, one.Stream().Remove())
		})
		return errors.Join(askErr, err)
	},
	"a pipeline has its grace":               stopPipeline,
	"a pipeline has its grace after a crash": crashPipeline,
	"who was well while we stood still":      standStill,
	"who became ready while we stood still":  standStillAtStart,
	"chain waits for ready and stops in reverse": func(s scene) error {
		settle := func(c *spec.Service) {
			c.Ready = spec.Probe{
				Kind:   spec.ProbeSettle,
				Settle: spec.Duration(20 * time.Millisecond),
			}
		}
		err := s.apply(sh("c", "exec sleep 99", settle, requires("b")),
			sh("b", "exec sleep 99", settle, requires("a")), sh("a", "exec sleep 99", settle))
		return errors.Join(err, want("up", strings.Join(s.order(Ready), ""), "abc"),
			s.Stop(s), want("down", strings.Join(s.order(Stopped), ""), "cba"))
	},
	"cycle is refused": func(s scene) error {
		err := s.apply(sh("a", ":", requires("b")), sh("b", ":", requires("a")),
			sh("c", "sleep 99", requires("x")))
		list, listErr := s.Status(s)
		if err == nil || len(list) > 0 {
			return fmt.Errorf("%v, %d services", err, len(list))
		}
		return listErr
	},
	"failed requirement": func(s scene) error {
		err := s.apply(
			sh("a", "exit 3", notified, func(c *spec.Service) { c.Restart = spec.RestartNo }),
			sh("b", "exec sleep 99", requires("a")),
		)
		start, ok := errors.AsType[*waiters.Error](err)
		if !ok || start.Exit == nil || start.Exit.Code != 3 {
			return fmt.Errorf("no exit status in %v", err)
		}
		return want("b", s.one("b").Reason, "waits for a (failed)")
	},
	"descendants are gone after stop": func(s scene) error {
		// In a session of its own, deaf to TERM, with an empty environment, from a parent that has
		// ended; and one that forks and forks.
		script := `setsid sh -c 'trap "" TERM; echo $$ >` + s.path("deaf") + `; while :; do sleep 1; done' &
			(setsid env -i /bin/sh -c 'echo $$ >` + s.path("bare") + `; exec sleep 99' &)
			setsid sh -c 'f() { sleep 0.01; f & }; f' &
			while :; do sleep 1; done`
		if err := s.apply(sh("a", script, impatient)); err != nil {
			return err
		}
		deaf, err1 := s.awaitPID("deaf")
		_, err2 := s.awaitPID("bare")
		if err := errors.Join(err1, err2, s.Stop(s, "a")); err != nil {
			return err
		}
		return want("deaf one lives", proctest.Alive(deaf), false)
	},
	"death is seen though a grandchild holds the pipe": func(s scene) error {
		if err := s.apply(sh("a", "sleep 99 & echo $! >"+s.path("child")+"; exec sleep 98")); err !=
			nil {
			return err
		}
		child, err := s.awaitPID("child")
		before := s.one("a").PID
		err = errors.Join(err, sys.Kill(before, syscall.SIGKILL),
			s.until("a", func(st control.Status) bool { return st.PID != 0 && st.PID != before }))
		return errors.Join(err, want("grandchild lives", proctest.Alive(child), false))
	},
	"ready at once by sd_notify, many times": func(s scene) error {
		var all []spec.Service
		for i := range 20 {
			all = append(all, tells(fmt.Sprint("n", i), "READY=1,STATUS=here"))
		}
		return errors.Join(s.apply(all...), want("status", s.one("n7").Text, "here"))
	},
	"a stranger is not heard": func(s scene) error {
		stranger := tells("stranger", "READY=1")
		stranger.Ready, stranger.NotifyAccess = spec.Probe{Kind: spec.ProbeExec}, spec.NotifyNone
		stranger.Env = map[string]string{"NOTIFY_SOCKET": s.hearing.Address()}
		child := sh("child", os.Getenv("TELLER")+" READY=1 & wait", notified,
			func(c *spec.Service) {
				c.Timeout, c.Restart = new(spec.Duration(300*time.Millisecond)), spec.RestartNo
			})
		all := child
		all.Name, all.NotifyAccess = "all", spec.NotifyAll
		err := s.apply(stranger, child, all)
		return errors.Join(want("child", s.one("child").State, Failed),
			want("all", s.one("all").State, Ready),
			want("error names the child alone", fmt.Sprint(err),
				"child: not ready within 300ms (notify)"))
	},
	"reload waits for READY=1 after RELOADING=1": func(s scene) error {
		script := `trap '` + os.Getenv("TELLER") +
			` RELOADING=1,MONOTONIC_USEC=1 READY=1 &' HUP; ` +
			os.Getenv("TELLER") + ` READY=1 & while :; do sleep 0.01; done`
		err := s.apply(sh("a", script, notified,
			func(c *spec.Service) { c.NotifyAccess, c.Reload = spec.NotifyAll, "HUP" }))
		for err == nil { // on a busy machine RELOADING=1 may come too late for the first of them
			if err = s.Reload(s, "a"); err != nil {
				return err
			}
			var past []control.Event
			past, _, err = s.Subscribe(s, 0)
			if slices.ContainsFunc(past,
				func(ev control.Event) bool { return ev.Reason == "reloaded" }) {
				return err
			}
		}
		return err
	},
	"descriptor, command, log and file as probes": func(s scene) error {
		probed := func(p spec.Probe) func(*spec.Service) {
			return func(c *spec.Service) { c.Ready = p }
		}
		return s.apply(
			sh("fd", "sleep 0.05; echo >&3; exec sleep 99",
				probed(spec.Probe{Kind: spec.ProbeFD, FD: 3})),
			sh("cmd", "sleep 0.05; >"+s.path("there")+"; exec sleep 99",
				probed(spec.Probe{Kind: spec.ProbeCmd, Target: "test -e " + s.path("there")})),
			sh("log", "sleep 0.05; echo is up; exec sleep 99",
				probed(spec.Probe{Kind: spec.ProbeLog, Target: "^is up$"})),
			sh("file", "sleep 0.05; >"+s.path("here")+"; exec sleep 99",
				probed(spec.Probe{Kind: spec.ProbeFile, Target: s.path("here")})))
	},
	"oneshot remains, and its dependant starts": func(s scene) error {
		once := func(c *spec.Service) {
			c.Type, c.Remain, c.Ready = spec.Oneshot, true, spec.Probe{}
		}
		return errors.Join(
			s.apply(sh("b", "exec sleep 99", requires("a")), sh("a", "exit 0", once)),
			want("a", s.one("a").State, Ready), s.Stop(s, "a"),
			want("a", s.one("a").State, Stopped),
		)
	},
	"apply touches what changed; instances go": func(s scene) error {
		web := sh("web", "exec sleep 99", func(c *spec.Service) { c.Instances = 3 })
		if err := s.apply(web, sh("a", "exec sleep 99")); err != nil {
			return err
		}
		a, one := s.one("a").PID, s.one("web@1").PID
		web.Instances = 2
		err := s.apply(web, sh("a", "exec sleep 98"))
		if s.one("a").PID == a {
			err = errors.Join(err, errors.New("a was not restarted"))
		}
		err = errors.Join(err, want("web@1", s.one("web@1").PID, one), s.Remove(s, "web"))
		err = errors.Join(err, s.until("a", func(st control.Status) bool { return st.Ready }))
		list, listErr := s.Status(s)
		return errors.Join(err, listErr, want("services", len(list), 1))
	},
	"held stays down over up; restart and start while stopping": func(s scene) error {
		a := sh("a", `trap "sleep 0.1; exit" TERM; echo up; while :; do sleep 0.01; done`,
			func(c *spec.Service) {
				c.Ready = spec.Probe{Kind: spec.ProbeLog, Target: "^up$"}
			})
		if err := errors.Join(s.apply(a), s.Stop(s, "a"), s.apply(a),
			want("held", s.one("a").State, Stopped)); err != nil {
			return err
		}
		err := errors.Join(s.Start(s, "a"), s.Restart(s, "a"))
		before := s.one("a").PID
		stopped := make(chan error, 1)
		go func() { stopped <- s.Stop(s, "a") }()
		err = errors.Join(
			err, s.until("a", func(st control.Status) bool { return st.State == Stopping }),
			s.Start(s, "a"),
		)
		if s.one("a").PID == before {
			err = errors.Join(err, errors.New("the old process runs"))
		}
		err = errors.Join(err, s.Remove(s, "a"))
		return errors.Join(err,
			want("stop", fmt.Sprint(<-stopped), "a: stop: overtaken by a later start"))
	},
	"what dies at once is seen; strangers are reaped": func(s scene) error {
		var all []spec.Service
		for i := range 30 {
			all = append(all, sh(fmt.Sprint("x", i), "(sleep 0.01 &) ; exit 0",
				func(c *spec.Service) { c.Type, c.Ready = spec.Oneshot, spec.Probe{} }))
		}
		return s.apply(all...)
	},
	"a readonly state directory is told": func(s scene) error {
		if err := s.apply(sh("a", "exec sleep 99")); err != nil {
			return err
		}
		// In the place of the file, where root too cannot replace it.
		wants := s.path("state/" + kept.WantsFile)
		err := errors.Join(os.Remove(wants), os.Mkdir(wants, 0o700))
		stopErr := s.Stop(s, "a")
		if _, ok := errors.AsType[*NotSavedError](stopErr); !ok {
			err = errors.Join(err, fmt.Errorf("stop said %v", stopErr))
		}
		return errors.Join(err, want("a", s.one("a").State, Stopped), os.Remove(wants),
			s.Start(s, "a"))
	},
}

func notified(c *spec.Service) { c.Ready = spec.Probe{Kind: spec.ProbeNotify} }

func tells(name string, messages ...string) spec.Service {
	s := spec.Service{Name: name, Command: append(spec.Command{os.Getenv("TELLER")}, messages...)}
	notified(&s)
	return s
}
