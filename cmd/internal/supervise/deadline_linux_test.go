package supervise

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// feeder says that it is ready, and then every 20 ms that it is alive.
var feeder = proctest.Register("feeder", func([]string) int {
	c := notify.Client{}
	m := notify.Message{Ready: true}
	for {
		if _, err := c.Send(m); err != nil {
			fmt.Println(err)
			return 1
		}
		m = notify.Message{Watchdog: true}
		time.Sleep(20 * time.Millisecond)
	}
})

// stopper stops the engine's process and has it go on, so many times.
func stopper(before string, times int, stopped time.Duration) spec.Service {
	script := fmt.Sprintf(
		"%s for i in $(seq %d); do kill -STOP %d; sleep %g; kill -CONT %[3]d; sleep 0.1; done",
		before, times, os.Getpid(), stopped.Seconds(),
	)
	return sh("stopper", script, func(c *spec.Service) { c.Type = spec.Oneshot })
}

// standStill is stopped for longer than the watchdog of services whose messages wait in the socket.
func standStill(s scene) error {
	var all []spec.Service
	for i := range 4 {
		f := tells(fmt.Sprint("fed", i))
		f.Command, f.Watchdog = spec.Command{os.Getenv("FEEDER")},
			spec.Duration(500*time.Millisecond)
		all = append(all, f)
	}
	err := errors.Join(s.apply(all...),
		s.apply(append(all, stopper("", 5, 800*time.Millisecond))...),
		s.Wait(s, Stopped, "stopper"))
	for _, f := range all {
		err = errors.Join(err, want(f.Name+": restarts", s.one(f.Name).Restarts, 0))
	}
	return err
}

// standStillAtStart is stopped until the time of services is over that have become ready meanwhile.
func standStillAtStart(s scene) error {
	var all []spec.Service
	var here []string
	for i, ready := range []string{"notify", "file", "fd", "cmd"} {
		file := s.path(fmt.Sprint("is-ready", i))
		one := sh(ready, "echo >"+s.path(ready)+"; sleep 1; echo >"+file+"; echo >&3; exec "+
			os.Getenv("TELLER")+" READY=1", func(c *spec.Service) {
			c.Timeout, c.Restart = new(spec.Duration(2500*time.Millisecond)), spec.RestartNo
			switch ready {
			case "notify":
				c.Ready = spec.Probe{Kind: spec.ProbeNotify}
			case "file":
				c.Ready, c.NotifyAccess = spec.Probe{Kind: spec.ProbeFile, Target: file},
					spec.NotifyNone
			case "fd":
				c.Ready, c.NotifyAccess = spec.Probe{Kind: spec.ProbeFD, FD: 3}, spec.NotifyNone
			case "cmd":
				c.Ready, c.NotifyAccess = spec.Probe{
					Kind:   spec.ProbeCmd,
					Target: "test -e " + file,
				}, spec.NotifyNone
			}
		})
		if ready != "fd" {
			one.Command[2] = strings.Replace(one.Command[2], "echo >&3; ", "", 1)
		}
		if ready != "notify" {
			one.Command[2] = strings.Replace(one.Command[2], "exec "+os.Getenv("TELLER")+" READY=1",
				"exec sleep 99", 1)
		}
		all, here = append(all, one), append(here, "-e "+s.path(ready))
	}
	return s.apply(append(all,
		stopper("until test "+strings.Join(here, " -a ")+"; do sleep 0.01; done;", 1,
			3*time.Second))...)
}
