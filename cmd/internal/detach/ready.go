package detach

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// readiness is how a launch learns that its daemon is ready. A READY=1 counts
// whatever was asked for, but only what was asked for gives the program a
// NOTIFY_SOCKET: without a wish its environment stays the caller's.
type readiness struct {
	probe spec.Probe
	asked bool // not merely the default

	check  probe.Check
	env    probe.Env
	socket *sys.NotifySocket
	note   string   // what is to be known about a program that is up
	pipe   *os.File // of fd:N, our end
	theirs *os.File // of fd:N, the program's end
}

// prepare opens what the program will say it on, and looks at what must not be taken for its doing.
func (r *readiness) prepare(p patience, l *launch) (err error) {
	r.check = probe.Check{Probe: r.probe}
	r.env = probe.Env{Dir: l.s.Chdir, Environ: l.spawn.Env, Attr: commandAttr(l.spawn.Credential)}
	for _, path := range []string{l.streams.Stdout, l.streams.Stderr} {
		if path != "" {
			r.env.Logs = append(r.env.Logs, path)
		}
	}
	switch r.check.Kind {
	case spec.ProbeLog:
		if len(r.env.Logs) == 0 {
			return errors.New("ready log: nothing to read: give stdout or stderr a file")
		}
	case spec.ProbeFD:
		if r.pipe, r.theirs, err = os.Pipe(); err != nil {
			return fmt.Errorf("ready %v: %w", r.check, err)
		}
		l.spawn.Files = append(l.spawn.Files, spawn.File{FD: r.check.FD, Source: r.theirs})
	}
	check, env := r.check, r.env // who does not come back goes on reading them
	look := func() (probe.Seen, error) { return probe.Look(check, env) }
	if r.env.Seen, err = sys.Within(p, "look at "+r.check.String(), look, nil); err != nil {
		return fmt.Errorf("ready %v: %w", r.check, err)
	}
	if !r.asked || r.check.Kind == spec.ProbeExec {
		return nil
	}
	if r.socket, err = listenNotify(l); err != nil {
		return err
	}
	l.spawn.Env = append(l.spawn.Env, "NOTIFY_SOCKET="+r.socket.Address)
	return nil
}

// listenNotify opens the socket that the program finds in NOTIFY_SOCKET, and keeps in its
// environment when we are gone: so its name is one that nobody else can give to a socket of theirs
// then, where there is a directory for it. From inside a chroot only an abstract name can be
// reached.
func listenNotify(l *launch) (*sys.NotifySocket, error) {
	if l.s.Chroot != "" {
		return sys.ListenNotify("")
	}
	gid := -1
	if c := l.spawn.Credential; c != nil && int(c.UID) != os.Geteuid() {
		gid = int(c.GID)
	}
	parents := []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()}
	if os.Geteuid() == 0 {
		parents = []string{"/run", os.TempDir()}
	}
	var errs []error
	for _, parent := range parents {
		if !filepath.IsAbs(parent) {
			continue
		}
		s, err := sys.ListenNotifyIn(parent, gid)
		if err == nil {
			return s, nil
		}
		errs = append(errs, err)
	}
	if runtime.GOOS == "linux" { // no directory can be written to
		return sys.ListenNotify("")
	}
	return nil, errors.Join(errs...)
}

// wait returns when the daemon is ready, or why it was not before ctx ended. It prolongs ctx by
// extend as the daemon asks for it.
func (r *readiness) wait(ctx context.Context, d *spawn.Launch, extend func(time.Duration)) (probe.Heard, error) {
	if r.theirs != nil {
		r.theirs.Close() // the program has its own, and its death must be seen as the end of the pipe
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.env.PID = d.PID
	// What has lost its parent is a child of the watcher, which leads the session.
	r.env.Members = func() []int {
		pids, _ := sys.ChildrenOf(d.Session) // who is not seen there has a parent, and is seen by that
		return pids
	}
	r.env.Note = func(text string) { r.note = text }
	r.env.Owner = func(pid int) bool {
		yes, err := belongs(pid, d)
		return yes && err == nil
	}

	type answer struct {
		heard probe.Heard
		err   error
		asked bool // by what was asked for, not by the READY=1 that counts in any case
	}
	answers := make(chan answer, 2)
	waiting := 0
	ask := func(asked bool, f func() (probe.Heard, error)) {
		waiting++
		go func() {
			h, err := f()
			answers <- answer{h, err, asked}
		}()
	}
	if r.socket != nil {
		l := probe.Listener{Allowed: func(s sys.Sender) bool { return mayNotify(s, d) }, Extend: extend}
		ask(r.check.Kind == spec.ProbeNotify, func() (probe.Heard, error) {
			h, err := probe.Hear(ctx, r.socket, l)
			if err == nil && r.check.Kind == spec.ProbeSettled {
				env := r.env
				env.Note = nil // the other one, who goes on looking, may be writing it
				err = probe.Wait(ctx, r.check.Told(), env)
			}
			return h, err
		})
	}
	switch r.check.Kind {
	case spec.ProbeNotify: // heard already
	case spec.ProbeFD:
		ask(true, func() (h probe.Heard, err error) { return h, probe.HearFD(ctx, r.pipe, r.check.FD) })
	default:
		ask(true, func() (h probe.Heard, err error) { return h, probe.Wait(ctx, r.check, r.env) })
	}
	// The first answer decides; the other one is waited for, so that nothing of this outlives it.
	// When the time is over both end, and what was asked for has more to say about it.
	first := <-answers
	cancel()
	for waiting--; waiting > 0; waiting-- {
		other := <-answers
		if other.heard.String() != "" {
			first.heard = other.heard
		}
		if first.err != nil && !first.asked {
			first.err = other.err
		}
	}
	return first.heard, first.err
}

// belongs says whether a process is the daemon or one that it started: its session is the one that
// the watcher leads, or a parent is the daemon or the watcher, to whom orphans go. The error is of
// one that cannot be looked at.
func belongs(pid int, d *spawn.Launch) (bool, error) {
	for depth := 0; pid > 1 && depth < 64; depth++ {
		if pid == d.PID || pid == d.Session {
			return true, nil
		}
		stat, err := sys.ReadStat(pid)
		if errors.Is(err, syscall.ESRCH) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if stat.Session == d.Session {
			return true, nil
		}
		pid = stat.PPID
	}
	return false, nil
}

// mayBelong is belongs, with the benefit of the doubt.
func mayBelong(pid int, d *spawn.Launch) bool {
	yes, err := belongs(pid, d)
	return yes || err != nil
}

// mayNotify says whether a message counts. The sender may be gone by now (sh -c 'systemd-notify
// --ready' is): it is then known by its user alone, which the kernel vouches for.
func mayNotify(s sys.Sender, d *spawn.Launch) bool {
	if _, err := sys.ReadStat(s.PID); err == nil {
		return mayBelong(s.PID, d)
	}
	ids, err := sys.ReadUserIDs(d.PID)
	return err == nil && (int(s.UID) == 0 || int(s.UID) == int(ids.Effective))
}

func (r *readiness) close() {
	for _, f := range []*os.File{r.pipe, r.theirs} {
		if f != nil {
			f.Close()
		}
	}
	if r.socket != nil {
		r.socket.Close()
	}
}
