package spawn

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

const nobody = 65534

// TestState wants each field of a Spec to come true, each way.
func TestState(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		root bool // needs root; an ordinary user is refused, see TestFailuresOfAnOrdinaryUser
		spec Spec
		line string // of /proc/PID/status, or of the output of the script
	}{
		{"umask 0", false, Spec{Umask: new(0)}, "Umask:\t0000"},
		{"umask 077", false, Spec{Umask: new(0o77)}, "Umask:\t0077"},
		{"no_new_privs", false, Spec{NoNewPrivs: true}, "NoNewPrivs:\t1"},
		{"nice", false, Spec{Nice: new(7)}, "nice 7"},
		{"less nice", true, Spec{Nice: new(-7)}, "nice -7"},
		{"oom score", false, Spec{OOMScoreAdj: new(500)}, "oom 500"},
		{"directory", false, Spec{Dir: dir}, "dir " + dir},
		{"arguments", false, Spec{}, "argv0 -a strange name"},
		{
			"user", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: 12, Groups: []uint32{12, 7}}},
			"Uid:\t65534\t65534\t65534\t65534",
		},
		{
			"group", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: 12, Groups: []uint32{12, 7}}},
			"Gid:\t12\t12\t12\t12",
		},
		{
			"groups", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: 12, Groups: []uint32{12, 7}}},
			"Groups:\t7 12 ",
		},
		{"no groups", true, Spec{Credential: &sys.Credential{UID: nobody, GID: nobody}},
			"Groups:\t "},
		{"another user has no capabilities", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: nobody}},
			"CapEff:\t0000000000000000"},
		{
			"nor can get them", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: nobody}, Caps: new(sys.CapSet(0))},
			"CapBnd:\t0000000000000000",
		},
		{"one kept", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: nobody},
				Caps: new(sys.CapSet(1 << 10))}, "CapEff:\t0000000000000400"},
		{"one kept, permitted", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: nobody},
				Caps: new(sys.CapSet(1 << 10))}, "CapPrm:\t0000000000000400"},
		{"one kept, and no other to be got", true,
			Spec{Credential: &sys.Credential{UID: nobody, GID: nobody},
				Caps: new(sys.CapSet(1 << 10))}, "CapBnd:\t0000000000000400"},
		{"root without capabilities", true, Spec{Caps: new(sys.CapSet(0))},
			"CapEff:\t0000000000000000"},
		{"root with two", true, Spec{Caps: new(sys.CapSet(3))}, "CapEff:\t0000000000000003"},
		{"limits", false,
			Spec{Rlimits: []Rlimit{{"core", syscall.RLIMIT_CORE, sys.Rlimit{}}}}, "core 0"},
		{"few descriptors", false,
			Spec{Rlimits: []Rlimit{
				{"nofile", syscall.RLIMIT_NOFILE, sys.Rlimit{Soft: 20, Hard: 21}},
			}}, "nofile 20 21"},
	} {
		if c.root && os.Geteuid() != 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				if w.name == "Start by thread" && (&c.spec).needsStage() {
					return // that is why there are stages
				}
				s := c.spec
				s.Path = "/bin/sh"
				s.Args = []string{"-a strange name", "-c", `
cat /proc/$$/status
echo nice $(nice); echo oom $(cat /proc/$$/oom_score_adj); echo dir $(pwd); echo argv0 "$0"
echo core $(ulimit -c); echo nofile $(ulimit -n) $(ulimit -Hn)`}
				if s.Dir == "" {
					s.Dir = "/"
				}
				s.Env = []string{"PATH=/usr/bin:/bin"}
				text, exit := w.output(t, &s)
				if exit != (Exit{}) || !strings.Contains(text, c.line) {
					t.Errorf("%v, no %q in\n%s", exit, c.line, text)
				}
			})
		})
	}
}

// TestSession: a process of Start leads a session of its own if asked for.
func TestSession(t *testing.T) {
	for _, w := range ways()[:2] {
		for _, session := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", w.name, session), func(t *testing.T) {
				proctest.CheckLeaks(t)
				s := sleep()
				s.Session = session
				l := w.mustStart(t, s)
				if state := proctest.Inspect(t, l.pid); (state.SID == l.pid) != session ||
					state.PPID != os.Getpid() {
					t.Errorf("session %d of %d, parent %d", state.SID, l.pid, state.PPID)
				}
			})
		}
	}
}

// TestLimitsThatStarve: the stage gets by with what is left, and what it says of the target is
// true.
func TestLimitsThatStarve(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit Rlimit
		path  string
		alive bool
	}{
		// no room for its libraries
		{"three descriptors", Rlimit{"nofile", syscall.RLIMIT_NOFILE, sys.Rlimit{Soft: 3, Hard: 3}},
			"/bin/sleep", false},
		{
			"little memory",
			Rlimit{"as", syscall.RLIMIT_AS, sys.Rlimit{Soft: 64 << 20, Hard: 64 << 20}},
			"/bin/sleep", true,
		},
		{"no memory", Rlimit{"as", syscall.RLIMIT_AS, sys.Rlimit{Soft: 4096, Hard: 4096}},
			"/bin/sleep", false},
		{"no data", Rlimit{"data", syscall.RLIMIT_DATA, sys.Rlimit{}}, "/bin/sleep", false},
		{"no files", Rlimit{"fsize", syscall.RLIMIT_FSIZE, sys.Rlimit{}}, "/bin/sleep", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, w := range ways()[1:] {
				t.Run(w.name, func(t *testing.T) {
					proctest.CheckLeaks(t)
					s := sleep()
					s.Path, s.Rlimits = c.path, []Rlimit{c.limit}
					if os.Geteuid() == 0 {
						// whom RLIMIT_NPROC binds
						s.Credential = &sys.Credential{UID: nobody, GID: nobody}
					}
					l := w.mustStart(t, s)
					if c.alive {
						isExecuting(t, l.pid, "sleep")
						return
					}
					exit := l.wait(t)
					if exit.Signal == 0 && exit.Code != 127 { // 127: of ld.so
						t.Errorf("the target %v", exit)
					}
				})
			}
		})
	}
}

// TestNoProcesses: the limit counts those of the new user, and execve(2) is where it strikes
// (EAGAIN). The threads of a stage are not among them.
func TestNoProcesses(t *testing.T) {
	for _, w := range ways()[1:] {
		t.Run(w.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			const nproc = 6       // RLIMIT_NPROC, which package syscall lacks
			const someone = 54321 // who has no processes
			s := sleep()
			s.Rlimits = []Rlimit{{"nproc", nproc, sys.Rlimit{}}}
			if os.Geteuid() != 0 {
				// Without a change of user nothing is counted before the target forks itself.
				w.mustStart(t, s)
				return
			}
			s.Credential = &sys.Credential{UID: someone, GID: someone}
			isExecuting(t, w.mustStart(t, s).pid, "sleep")
			_, err := w.start(t, s)
			wantStep(t, err, StepExec, "execute /bin/sleep: resource temporarily unavailable")
		})
	}
}

// TestControlGroup: joining is writing to a file, so that a file will do to see it.
func TestControlGroup(t *testing.T) {
	for _, w := range ways()[1:] {
		t.Run(w.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			s := sleep()
			s.Cgroup = t.TempDir()
			file := filepath.Join(s.Cgroup, "cgroup.procs")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			w.mustStart(t, s)
			// 0: the writer, cgroups(7)
			if b, err := os.ReadFile(file); strings.TrimSpace(string(b)) != "0" || err != nil {
				t.Errorf("written: %q, %v", b, err)
			}
		})
	}
}

// TestKeptCapability: the proof that counts is that it works.
func TestKeptCapability(t *testing.T) {
	if os.Geteuid() != 0 {
		eachWay(t, func(t *testing.T, w way) {
			s := sleep()
			s.Caps = new(sys.CapSet(1 << 10))
			_, err := w.start(t, s)
			wantStep(t, err, StepBounding, "operation not permitted")
		})
		cmd := binder.Command(t)
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != int(syscall.EACCES) {
			t.Errorf("without the capability: %v", err)
		}
		return
	}
	const netBindService = 10
	for _, c := range []struct {
		caps *sys.CapSet
		want int
	}{{new(sys.CapSet(1 << netBindService)), 0}, {new(sys.CapSet(0)), 13}, {nil, 13}} {
		for _, w := range ways()[1:] {
			t.Run(fmt.Sprint(w.name, c.want), func(t *testing.T) {
				proctest.CheckLeaks(t)
				s := &Spec{
					Path: binder.Path(t), Args: []string{"binder"}, Caps: c.caps,
					Credential: &sys.Credential{UID: nobody, GID: nobody},
				}
				if exit := w.mustStart(t, s).wait(t); exit.Code != c.want {
					t.Errorf("the target %v, want status %d", exit, c.want)
				}
			})
		}
	}
}

// binder listens on a port of those that are not for everybody and exits with the errno of that.
var binder = proctest.Register("binder", func([]string) int {
	for _, port := range []string{"80", "81", "82"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			l.Close()
			return 0
		}
		if errno, ok := sys.Errno(err); ok && errno != syscall.EADDRINUSE {
			return int(errno)
		}
	}
	return 1
})

// TestEnvironment: whatever bytes it has, the target has them too, in that order.
func TestEnvironment(t *testing.T) {
	for _, env := range [][]string{nil, {"A=1"}, {"LATIN=caf\xe9", "\xff\xfe=x", "EMPTY=",
		"=rubbish", "NOEQUALS", "A=1", "A=2"}} {
		eachWay(t, func(t *testing.T, w way) {
			s := sleep()
			s.Env = env
			l := w.mustStart(t, s)
			isExecuting(t, l.pid, "sleep")
			proctest.Eventually(t, time.Minute, func() error {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", l.pid))
				if err != nil {
					return err
				}
				got := strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
				if len(b) == 0 {
					got = nil
				}
				if !slices.Equal(got, env) {
					return fmt.Errorf("got %q, want %q", got, env)
				}
				return nil
			})
		})
	}
}

// TestStrangeArguments too.
func TestStrangeArguments(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := sleep()
		s.Args = []string{"\xff\xfe\n", "1000"}
		l := w.mustStart(t, s)
		isExecuting(t, l.pid, "sleep")
		if got := proctest.Inspect(t, l.pid).Args; !slices.Equal(got, s.Args) {
			t.Errorf("got %q, want %q", got, s.Args)
		}
	})
}

// signalled starts a process, each way, from a launcher with signals blocked and ignored, and waits
// for it.
var signalled = proctest.Register("signalled", func(args []string) int {
	s := &Spec{
		Path:  "/bin/grep",
		Args:  []string{"grep", "^Sig[BI]", "/proc/self/status"},
		Files: []File{{1, os.Stdout}},
	}
	var pid int
	var err error
	switch args[0] {
	case "Start":
		pid, err = Start(context.Background(), s)
	case "Start by stage":
		d := s.describe()
		pid, err = startStage(context.Background(), &d)
	default:
		var l *Launch
		if l, err = Detach(context.Background(), s); err == nil {
			for range l.Events {
			}
		}
	}
	if pid > 0 {
		_, err = syscall.Wait4(pid, nil, 0, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
})

func TestSignals(t *testing.T) {
	for _, how := range []string{"Start", "Start by stage", "Detach"} {
		t.Run(how, func(t *testing.T) {
			proctest.CheckLeaks(t)
			out, err := proctest.Worst().Command(t, signalled.Path(t), how).Output()
			want := "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
			if string(out) != want || err != nil {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}
