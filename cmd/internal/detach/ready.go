package detach

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/internal/proctree"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// readiness is how a launch learns that its daemon is ready. A READY=1 counts
// whatever was asked for, but only what was asked for gives the program a
// NOTIFY_SOCKET: without a wish its environment stays the caller's.
type readiness struct {
	*launch.Watch
	asked  bool // not merely the default
	socket *sys.NotifySocket
	note   string // what is to be known about a program that is up
}

// prepare opens what the program will say it on, and looks at what must not be taken for its doing.
func (r *readiness) prepare(p patience, l *attempt) (err error) {
	r.Watch, err = launch.NewWatch(p, &l.spawn, l.s.Process, l.s.Ready, nil, os.Pipe)
	if err != nil {
		return err
	}
	if r.Check.Kind == spec.ProbeLog && len(r.Env.Logs) == 0 {
		return errors.New("ready log: nothing to read: give stdout or stderr a file")
	}
	if !r.asked || r.Check.Kind == spec.ProbeExec {
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
func listenNotify(l *attempt) (*sys.NotifySocket, error) {
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
func (r *readiness) wait(
	ctx context.Context, d *spawn.Launch, extend func(time.Duration),
) (probe.Heard, error) {
	r.Started()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.Env.PID = d.PID
	// What has lost its parent is a child of the watcher, which leads the session.
	r.Env.Members = func() []int {
		// who is not seen there has a parent, and is seen by that
		pids, _ := sys.ChildrenOf(d.Session)
		return pids
	}
	r.Env.Note = func(text string) { r.note = text }
	r.Env.Owner = func(pid int) bool {
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
		l := probe.Listener{
			Allowed: func(s sys.Sender) bool { return mayNotify(s, d) },
			Extend:  extend,
		}
		ask(r.Check.Kind == spec.ProbeNotify, func() (probe.Heard, error) {
			h, err := probe.Hear(ctx, r.socket, l)
			if err == nil && r.Check.Kind == spec.ProbeSettled {
				env := r.Env
				env.Note = nil // the other one, who goes on looking, may be writing it
				err = probe.Wait(ctx, r.Check.Told(), env)
			}
			return h, err
		})
	}
	if r.Check.Kind != spec.ProbeNotify { // heard already
		ask(true, func() (h probe.Heard, err error) { return h, r.Wait(ctx) })
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
// the watcher leads, or a parent is the daemon or the watcher, to whom orphans go.
func belongs(pid int, d *spawn.Launch) (bool, error) {
	return proctree.Descends(pid, sys.ReadStat,
		func(pid int) bool { return pid == d.PID || pid == d.Session },
		func(st sys.ProcStat) bool { return st.Session == d.Session })
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
	if r.Watch != nil {
		r.Watch.Close()
	}
	if r.socket != nil {
		r.socket.Close()
	}
}
