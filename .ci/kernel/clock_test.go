package kernel

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const day = 24 * time.Hour

// setClock moves the clock, which goes back when the test ends.
func setClock(t *testing.T, by time.Duration) {
	t.Helper()
	move := func(by time.Duration) {
		tv := syscall.NsecToTimeval(time.Now().Add(by).UnixNano())
		if err := syscall.Settimeofday(&tv); err != nil {
			t.Fatal(err)
		}
	}
	move(by)
	t.Cleanup(func() { move(-by) })
}

const timed = `
[service.steady]
command = ["sh", "-c", "while :; do date; sleep 0.2; done"]
log = { rotate_age = "2s", keep = 3 }
[service.dog]
command = ["@", "dog"]
ready = "notify"
watchdog = "20s"
[service.crash]
command = ["sleep", "1000"]
backoff = { first = "4s", jitter = 0.0 }
[service.late]
command = ["sleep", "1000"]
ready = "notify"
timeout = "4s"
autostart = false
restart = "no"
[service.deaf]
command = ["@", "deaf"]
stop_timeout = "3s"
`

// Whatever the clock is set to, services go on, and delays are as long as they are.
func TestClockSet(t *testing.T) {
	for _, by := range []time.Duration{400 * day, -400 * day, -9000 * day} {
		t.Run(fmt.Sprint(int(by/day), " days"),
			func(t *testing.T) { clockSet(newSite(t, timed), by) })
	}
}

func clockSet(s site, by time.Duration) {
	s.daemonry("up", "-f", s.file())
	steady, dog := s.status("steady"), s.status("dog")

	// In the middle of a delay, of a start, and of a stop.
	s.crash()
	stopping := s.command("stop", "deaf")
	if err := stopping.Start(); err != nil {
		s.Fatal(err)
	}
	starting := s.command("start", "late")
	if err := starting.Start(); err != nil {
		s.Fatal(err)
	}
	s.await("late", "starting")
	began := monotonic()
	setClock(s.T, by)
	s.await("crash", "ready")
	if err := stopping.Wait(); err != nil {
		s.Errorf("stop: %v", err)
	}
	if starting.Wait(); starting.ProcessState.ExitCode() != 124 {
		s.Errorf("start: %v", starting.ProcessState)
	}
	s.Logf("restart, stop and start that were under way were over after %v", monotonic()-began)

	// A log is rotated by age, and old files are removed.
	rotated := func() []string {
		list, _ := filepath.Glob(s.root + "/log/steady.log?*")
		return list
	}
	before := strings.Join(rotated(), " ")
	s.wait("another rotation", func() bool { return strings.Join(rotated(), " ") != before })
	s.wait("old files to be removed", func() bool { return len(rotated()) <= 3 })

	// The watchdog has patience, and an end to it.
	time.Sleep(3 * time.Second)
	if now := s.status("dog"); now != dog {
		s.Errorf("dog: %+v, was %+v", now, dog)
	}
	s.daemonry("signal", "USR1", "dog")
	s.wait("the watchdog to bite",
		func() bool { st := s.status("dog"); return st.Restarts == 1 && st.State == "ready" })

	// The next supervisor reads times of before in the journal.
	s.crash()
	setClock(s.T, -2*by)
	s.kill()
	s.await("crash", "ready")
	if now := s.status("steady"); now != steady {
		s.Errorf("steady: %+v, was %+v", now, steady)
	}
	if out, _ := s.command("status").Output(); regexp.MustCompile(`-\d`).Match(out) { // not all run
		s.Errorf("a negative time:\n%s", out)
	}
}

// crash has the service of that name wait to be started again, which it is at once after the first
// crash.
func (s site) crash() {
	s.Helper()
	for st := s.status("crash"); st.State != "backoff"; {
		s.daemonry("signal", "KILL", "crash")
		s.wait("the crash to be seen", func() bool {
			now := s.status("crash")
			if now.Restarts == st.Restarts || now.State != "backoff" && now.State != "ready" {
				return false
			}
			st = now
			return true
		})
	}
}

// monotonic is the time since the boot without that of sleep.
func monotonic() time.Duration {
	return time.Since(start)
}

var start = time.Now()

// The whole machine stands still for a while; nobody is called late for it.
func TestSuspend(t *testing.T) {
	s := newSite(t, timed)
	s.daemonry("up", "-f", s.file())
	steady, dog := s.status("steady"), s.status("dog")
	s.crash()
	for range 2 {
		slept := boottime(t) - monotonic()
		out, err := exec.Command("rtcwake", "-m", "mem", "-s", "40").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		slept = boottime(t) - monotonic() - slept
		t.Logf("slept %v", slept)
		if slept < 25*time.Second {
			t.Errorf("it slept %v only", slept)
		}
	}
	s.await("crash", "ready")
	for _, before := range []status{steady, dog} {
		if now := s.status(before.Name); now != before {
			t.Errorf("%+v, was %+v", now, before)
		}
	}
	s.kill()
	for _, before := range []status{steady, dog} {
		if now := s.status(before.Name); now != before {
			t.Errorf("taken over: %+v, was %+v", now, before)
		}
	}
	s.daemonry("signal", "USR1", "dog")
	s.wait("the watchdog to bite",
		func() bool { st := s.status("dog"); return st.Restarts == 1 && st.State == "ready" })
}

// boottime is the time since the boot, sleep included (CLOCK_BOOTTIME).
func boottime(t *testing.T) time.Duration {
	t.Helper()
	up, _, _ := strings.Cut(read(t, "/proc/uptime"), " ")
	d, err := time.ParseDuration(up + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}
