//go:build unix && !aix

package spawn

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// threadsOwnFS says whether a thread can have a umask and a working directory of its own.
const threadsOwnFS = runtime.GOOS == "linux"

// apply does to the calling thread, and where the kernel knows no smaller unit
// to the process, what the description says, up to but without the execution.
// The caller holds the thread and never gives it back. The descriptors are the caller's business.
//
// It runs in a stage that is about to execute or to start the target, or on a thread that is
// about to start it and then ends.
func (s *description) apply() error {
	for _, a := range []struct {
		step   Step
		object string
		wanted bool
		do     func() error
	}{
		{StepCgroup, s.Cgroup, s.Cgroup != "", func() error { return sys.JoinCgroup(s.Cgroup) }},
		{StepOOMScore, text(s.OOMScoreAdj), s.OOMScoreAdj != nil,
			func() error { return sys.SetOOMScoreAdj(*s.OOMScoreAdj) }},
		{StepNice, text(s.Nice), s.Nice != nil, func() error { return sys.SetNice(*s.Nice) }},
		{StepLimits, "", len(s.Rlimits) > 0, func() error { return s.setLimits(early) }},
		{StepUmask, "", s.Umask != nil, func() error { sys.Umask(*s.Umask); return nil }},
		{StepSignals, "", true, s.resetSignals},
		{StepChroot, s.Chroot, s.Chroot != "", s.changeRoot},
		{StepBounding, "", s.Caps != nil, s.dropBounding},
		{StepUser, s.userText(), s.Credential != nil, s.becomeUser},
		{StepCaps, "", s.Caps != nil, s.setCaps},
		{StepNoNewPrivs, "", s.NoNewPrivs, sys.SetNoNewPrivs},
		{StepDirectory, s.Dir, s.Dir != "", func() error { return os.Chdir(s.Dir) }},
		{StepDeathSignal, "", s.DeathSignal != 0, s.dieWithParent},
		{StepLimits, "", len(s.Rlimits) > 0, func() error { return s.setLimits(late) }},
	} {
		if s.FailAt == a.step {
			return fail(a.step, a.object, injected)
		}
		if !a.wanted {
			continue
		}
		if a.step == StepChroot || a.step == StepDirectory {
			s.reach(a.step, a.object)
		}
		if err := a.do(); err != nil {
			return fail(a.step, a.object, err)
		}
	}
	return nil
}

// reach says that the step is being done.
func (s *description) reach(step Step, object string) {
	if s.reached != nil {
		s.reached(step, object)
	}
}

// dieWithParent asks for the signal, and sees that it has not come too late for it.
func (s *description) dieWithParent() error {
	if err := sys.SetParentDeathSignal(s.DeathSignal); err != nil {
		return err
	}
	if os.Getppid() != s.parent {
		return fmt.Errorf("process %d, which started it, is gone: %w", s.parent, syscall.ESRCH)
	}
	return nil
}

// resetSignals empties the thread's signal mask and gives ignored signals their default action
// back, which is a matter of the whole process: a server that was started by nohup(1) must not die
// of the next SIGHUP because it started something. Where x/sys has no such calls (darwin, the BSDs,
// illumos), what remains is what the Go runtime does by itself in a child: handled signals return
// to their defaults.
func (s *description) resetSignals() error {
	if runtime.GOOS != "linux" {
		return nil
	}
	if s.shared {
		if ignored, err := sys.IgnoredSignals(); err != nil {
			return err
		} else if ignored != 0 {
			return errNeedsStage
		}
	} else if err := sys.ResetIgnoredSignals(); err != nil {
		return err
	}
	_, err := sys.SetSignalMask(0)
	return err
}

// when is which limits setLimits sets.
type when int

const (
	// those that may need the rights of the first user, and whatever does us no harm
	early when = iota
	// those that could starve this very process before it executes
	late
)

// setLimits sets the limits that are due, in order. A limit on memory is set last of all: a Go
// program has more address space than most such limits allow, and from then on cannot so much as
// start a thread (with cgo, pthread_create(3) maps a stack and its failure is fatal). Where such a
// limit raises the hard one, the right to do so may be gone by then: it is set early, and is no
// limit lower than ours.
func (s *description) setLimits(now when) error {
	for _, r := range s.Rlimits {
		due, err := r.due()
		if err == nil && due == now {
			err = sys.Setrlimit(r.Resource, r.Limit)
		}
		if err != nil {
			return fail(StepLimits, r.Name, err)
		}
	}
	return nil
}

func (r Rlimit) due() (when, error) {
	as, known := sys.RlimitNumber("as")
	if !(known && r.Resource == as) && r.Resource != syscall.RLIMIT_DATA {
		return early, nil
	}
	have, err := sys.Getrlimit(r.Resource)
	if err != nil {
		return 0, err
	}
	if r.Limit.Hard > have.Hard {
		return early, nil
	}
	return late, nil
}

// changeRoot enters the new root. The working directory follows at once, or
// it would be a way out of it (chroot(2)).
func (s *description) changeRoot() error {
	if err := sys.Chroot(s.Chroot); err != nil {
		return err
	}
	return os.Chdir("/")
}

// dropBounding cuts the bounding set down to what is kept, plus, until the
// user has changed, nothing: the rights that the following steps need are in
// the effective set, which this does not touch.
func (s *description) dropBounding() error { return sys.DropBounding(*s.Caps) }

func (s *description) becomeUser() error {
	keep := sys.DropCaps
	if s.Caps != nil && s.Credential.UID != 0 {
		keep = sys.RetainCaps
	}
	if err := sys.SetThreadCredential(*s.Credential, keep); err != nil {
		return err
	}
	if keep == sys.RetainCaps {
		return nil // CAP_SETUID is still permitted; setCaps takes it away and verifies
	}
	return sys.VerifyCredential(*s.Credential, 0)
}

func (s *description) setCaps() error {
	ambient := sys.NoAmbient
	if s.Credential != nil && s.Credential.UID != 0 || s.Credential == nil && os.Geteuid() != 0 {
		ambient = sys.RaiseAmbient
	}
	if err := sys.SetThreadCapabilities(*s.Caps, ambient); err != nil {
		return err
	}
	if s.Credential == nil {
		return nil
	}
	return sys.VerifyCredential(*s.Credential, *s.Caps)
}

func (s *description) userText() string {
	if s.Credential == nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", s.Credential.UID, s.Credential.GID)
}

func text(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// environment is the target's environment; with sockets, those of sd_listen_fds(3) for pid, and
// WATCHDOG_PID, where there is one, is pid (sd_watchdog_enabled(3)).
func (s *description) environment(pid int) []string {
	if !s.needsPID() {
		return s.Env
	}
	env := make([]string, 0, len(s.Env)+4)
	for _, kv := range s.Env {
		switch {
		case len(s.ListenNames) > 0 && announcesSockets(kv):
		case strings.HasPrefix(kv, watchdogPID):
			env = append(env, watchdogPID+strconv.Itoa(pid))
		default:
			env = append(env, kv)
		}
	}
	if len(s.ListenNames) == 0 {
		return env
	}
	// Linux 6.9. Without it LISTEN_PID stands alone, as with systemd before 259.
	if id, err := sys.PidfdID(pid); err == nil {
		env = append(env, "LISTEN_PIDFDID="+strconv.FormatUint(id, 10))
	}
	return append(env,
		"LISTEN_PID="+strconv.Itoa(pid),
		"LISTEN_FDS="+strconv.Itoa(len(s.ListenNames)),
		"LISTEN_FDNAMES="+strings.Join(s.ListenNames, ":"))
}

// announcesSockets says whether a variable is one of sd_listen_fds(3), and not LISTEN_ADDR or the
// like of somebody else.
func announcesSockets(kv string) bool {
	switch name, _, _ := strings.Cut(kv, "="); name {
	case "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES":
		return true
	}
	return false
}

// table is the target's descriptors as forkExec wants them: index is number, and a gap is closed.
func (s *description) table(null uintptr) []uintptr {
	t := []uintptr{null, null, null}
	for _, f := range s.fds {
		for len(t) <= f.target {
			t = append(t, ^uintptr(0))
		}
		t[f.target] = uintptr(f.source)
	}
	return t
}

// fork starts the target from the calling thread, which it inherits.
func (s *description) fork(null uintptr) (pid int, err error) {
	if s.FailAt == StepFork {
		return 0, fail(StepFork, "", injected)
	}
	if s.FailAt == StepExec {
		return 0, s.execError(injected)
	}
	// What was opened here is close-on-exec, but what leaked into this process need not be.
	if err := sys.SealDescriptors(3); err != nil {
		return 0, fail(StepDescriptors, "", err)
	}
	attr := &syscall.SysProcAttr{Setsid: s.Session}
	bearInto(attr, s.Into)
	s.reach(StepExec, s.Path)
	if s.forking != nil && !s.forking() {
		return 0, errGivenUp
	}
	pid, err = syscall.ForkExec(s.Path, s.Args,
		&syscall.ProcAttr{Env: s.Env, Files: s.table(null), Sys: attr})
	if isCgroupError(s.Into, err) {
		return 0, fail(StepCgroup, s.Into.Name(), err)
	}
	switch err {
	case nil:
		return pid, nil
	case syscall.EAGAIN, syscall.ENOMEM:
		return 0, fail(StepFork, "", err) // execve(2) has them too; the cause is the same shortage
	}
	return 0, s.execError(err)
}

// execError says why an execution failed. ENOENT of a file that exists means
// that its interpreter or its dynamic loader does not (execve(2)), which is worth saying.
func (s *description) execError(err error) error {
	if err == syscall.ENOENT {
		path := s.Path
		if !filepath.IsAbs(path) && s.Dir != "" {
			path = filepath.Join(s.Dir, path)
		}
		if _, e := os.Stat(path); e == nil {
			return fail(StepExec, s.Path, &InterpreterError{Name: interpreter(path)})
		}
	}
	return fail(StepExec, s.Path, err)
}
