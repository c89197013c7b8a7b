package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// event waits for one whose reason has this in it.
func (s scene) event(reason string) error {
	for s.Err() == nil {
		past, sub, err := s.Subscribe(s, 0)
		if err != nil {
			return err
		}
		sub.Close()
		if slices.ContainsFunc(past,
			func(ev control.Event) bool { return strings.Contains(ev.Reason, reason) }) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("no event says %q", reason)
}

func notifiedByAll(c *spec.Service) {
	c.Ready, c.NotifyAccess, c.Restart = spec.Probe{Kind: spec.ProbeNotify}, spec.NotifyAll,
		spec.RestartNo
}

// checkLiveness has a service fail its check within the grace, be well at its end, and fail again.
func checkLiveness(s scene) error {
	alive, asked := s.path("alive"), s.path("asked")
	err := s.apply(sh("a", "exec sleep 99", func(c *spec.Service) {
		c.Liveness = spec.Liveness{
			Check: spec.Probe{Kind: spec.ProbeCmd,
				Target: "sh -c 'echo >>" + asked + "; test -e " + alive + "'"},
			Interval: new(spec.Duration(20 * time.Millisecond)), Threshold: new(3),
			Grace: spec.Duration(300 * time.Millisecond),
		}
	}))
	first := s.one("a")
	_, statErr := os.Stat(asked)
	if statErr == nil && time.Since(first.Since) < 300*time.Millisecond {
		err = errors.Join(err, errors.New("asked within the grace"))
	}
	err = errors.Join(err, os.WriteFile(alive, nil, 0o600))
	for checks := 0; checks < 5 && s.Err() == nil; time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(asked)
		checks = len(b)
	}
	err = errors.Join(err, want("restarts of what is well", s.one("a").Restarts, 0),
		os.Remove(alive), s.event(", 3 times"))
	return errors.Join(err, os.WriteFile(alive, nil, 0o600),
		s.until("a", func(st control.Status) bool { return st.Ready && st.PID != first.PID }))
}

func missWatchdog(s scene) error {
	a := tells("a", "READY=1")
	a.Watchdog, a.Restart = spec.Duration(200*time.Millisecond), spec.RestartNo
	return errors.Join(s.apply(a),
		s.until("a", func(st control.Status) bool { return st.State == Failed }),
		want("reason", s.one("a").Reason, "no WATCHDOG=1 within 200ms"))
}

// extendTimeout is ready long after the time allowed, which it has had extended; then it says that
// it stops.
func extendTimeout(s scene) error {
	teller := os.Getenv("TELLER")
	script := teller + " EXTEND_TIMEOUT_USEC=20000000 & sleep 1.2; trap 'kill $!; " + teller +
		" STOPPING=1 & sleep 0.5; kill $!; exit' TERM; " +
		teller + " READY=1 & while :; do sleep 0.01; done"
	err := s.apply(sh("a", script, notifiedByAll,
		func(c *spec.Service) { c.Timeout = new(spec.Duration(time.Second)) }))
	return errors.Join(err, s.Stop(s, "a"), s.event("says that it is stopping"))
}

// changeMainPID has the first process name its child and end, as daemons of the old kind do.
func changeMainPID(s scene) error {
	script := "sleep 97 & echo $! >" + s.path("main") + "; " + os.Getenv("TELLER") +
		" MAINPID=$!,READY=1 & echo >" +
		s.path("said") + "; while ! test -e " + s.path("go") + "; do sleep 0.01; done"
	err := s.apply(sh("a", script, notifiedByAll))
	main, pidErr := s.awaitPID("main")
	err = errors.Join(err, pidErr, os.WriteFile(s.path("go"), nil, 0o600),
		s.until("a", func(st control.Status) bool { return st.PID == main }))
	return errors.Join(err, want("state", s.one("a").State, Ready), s.Stop(s, "a"),
		want("it lives", proctest.Alive(main), false))
}

// endStopped has a process stop itself, which takes no signal but KILL until it is continued.
func endStopped(s scene) error {
	script := "trap 'exit 7' TERM; echo $$ >" + s.path("pid") +
		"; kill -STOP $$; while :; do sleep 0.01; done"
	err := s.apply(sh("a", script))
	pid, pidErr := s.awaitPID("pid")
	err = errors.Join(err, pidErr, s.until("a", func(control.Status) bool {
		stat, _ := sys.ReadStat(pid)
		return stat.State == 'T'
	}), s.Stop(s, "a"))
	return errors.Join(err, want("its end", s.one("a").Exit.Text, "exited with status 7"))
}

// barrier says who it is, has that confirmed, and only then writes a file.
var barrier = proctest.Register("barrier", func(args []string) int {
	c := notify.Client{}
	_, err := c.Send(notify.Message{Ready: true, Status: new("said before")})
	if err == nil {
		_, err = c.Barrier(context.Background())
	}
	if err == nil {
		err = os.WriteFile(args[0], nil, 0o600)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	time.Sleep(time.Hour)
	return 0
})

func askBarrier(s scene) error {
	a := spec.Service{
		Name:    "a",
		Command: spec.Command{os.Getenv("BARRIER"), s.path("passed")},
		Ready:   spec.Probe{Kind: spec.ProbeFile, Target: s.path("passed")},
	}
	return errors.Join(s.apply(a), want("status", s.one("a").Text, "said before"))
}

// layers and width of the services that upInLayers starts: each requires all of the layer below.
const layers, width = 6, 4

func upInLayers(s scene) error {
	var all []spec.Service
	for layer := range layers {
		for i := range width {
			name := fmt.Sprintf("l%d-%d", layer, i)
			script := "trap 'echo " + name + " >>" + s.path("order") +
				"; exit' TERM; echo up; while :; do sleep 0.02; done"
			all = append(all, sh(name, script, func(c *spec.Service) {
				c.Ready = spec.Probe{Kind: spec.ProbeLog, Target: "^up$"}
				for below := range width {
					if layer > 0 {
						c.Requires = append(c.Requires, fmt.Sprintf("l%d-%d", layer-1, below))
					}
				}
			}))
		}
	}
	return s.apply(all...)
}

// downInLayers sees that the shutdown ended the layers one after the other, the last first.
func downInLayers(s scene) error {
	b, err := os.ReadFile(s.path("order"))
	if err != nil {
		return err
	}
	lines := strings.Fields(string(b))
	down := slices.Clone(lines)
	slices.SortStableFunc(down, func(a, b string) int { return strings.Compare(b[:2], a[:2]) })
	if len(lines) != layers*width || !slices.Equal(lines, down) {
		return fmt.Errorf("ended in the order %v", lines)
	}
	return nil
}

func hearLastWords(s scene) error {
	script := "if test -e " + s.path("again") + "; then echo second; else echo first; >" +
		s.path("again") + "; fi; exit 3"
	// that it fails is what is wanted
	_ = s.apply(sh("a", script, notified, func(c *spec.Service) { c.Budget.Restarts = new(1) }))
	if err := s.until("a", func(st control.Status) bool { return st.State == Failed }); err != nil {
		return err
	}
	return want("words", strings.Join(s.one("a").Exit.Words, "|"), "second")
}

// renameLogs does what logrotate(8) does.
func renameLogs(s scene) error {
	script := "echo before; while ! test -e " + s.path("go") +
		"; do sleep 0.01; done; echo after; exec sleep 99"
	log := s.path("log/a.log")
	err := s.apply(sh("a", script,
		func(c *spec.Service) { c.Ready = spec.Probe{Kind: spec.ProbeLog, Target: "^before$"} }))
	err = errors.Join(err, os.Rename(log, log+".old"), s.ReopenLogs(s),
		os.WriteFile(s.path("go"), nil, 0o600))
	for s.Err() == nil {
		if b, _ := os.ReadFile(log); string(b) == "after\n" {
			old, readErr := os.ReadFile(log + ".old")
			return errors.Join(err, readErr, want("old log", string(old), "before\n"))
		}
		time.Sleep(time.Millisecond)
	}
	return errors.Join(err, errors.New("nothing came into the new file"))
}
