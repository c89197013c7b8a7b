package launch

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/probe"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Watch is how it is learned that a process is ready. Who waits sets what of Env is known of the
// process only when it is there: its pid, and whom it owns.
type Watch struct {
	Check probe.Check
	Env   probe.Env
	Pipe  *os.File // of fd, our end
	end   *os.File // of fd, the program's
}

// NewWatch gets ready to watch over the process that s and p describe: what it will say that it is
// ready on is opened, with pipe for fd, and what is there before is looked at, for it is not its
// doing. logs are the files that its output gets into besides those of p.
func NewWatch(
	ctx context.Context, s *spawn.Spec, p spec.Process, ready spec.Probe, logs []string,
	pipe func() (ours, its *os.File, err error),
) (w *Watch, err error) {
	w = &Watch{Check: probe.Check{Probe: ready}, Env: ProbeEnv(s, p, logs)}
	defer func() {
		if err != nil {
			w.Close()
			w, err = nil, fmt.Errorf("ready %v: %w", w.Check, err)
		}
	}()
	if ready.Kind == spec.ProbeFD {
		if w.Pipe, w.end, err = pipe(); err != nil {
			return w, err
		}
		s.Files = append(s.Files, spawn.File{FD: ready.FD, Source: w.end})
	}
	check, env := w.Check, w.Env // who does not come back goes on reading them
	look := func() (probe.Seen, error) { return probe.Look(check, env) }
	w.Env.Seen, err = sys.Within(ctx, "look at "+check.String(), look, nil)
	return w, err
}

// ProbeEnv is what a probe must know of the process that s and p describe.
func ProbeEnv(s *spawn.Spec, p spec.Process, logs []string) probe.Env {
	env := probe.Env{Dir: p.Chdir, Environ: s.Env}
	if c := s.Credential; c != nil {
		env.Attr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups},
		}
	}
	for _, file := range append([]string{p.Stdout.Path, p.Stderr.Path}, logs...) {
		if file != "" && !slices.Contains(env.Logs, file) {
			env.Logs = append(env.Logs, file)
		}
	}
	return env
}

// Started lets go of the program's own end, so that its death is seen as the end of the pipe.
func (w *Watch) Started() {
	if w.end != nil {
		w.end.Close()
	}
}

// Wait hears it, or asks for it, until the process is ready or ctx ends. Who is to send READY=1 is
// heard elsewhere (probe.Hear).
func (w *Watch) Wait(ctx context.Context) error {
	if w.Check.Kind == spec.ProbeFD {
		return probe.HearFD(ctx, w.Pipe, w.Check.FD)
	}
	return probe.Wait(ctx, w.Check, w.Env)
}

// Close lets go of all.
func (w *Watch) Close() {
	w.Started()
	if w.Pipe != nil {
		w.Pipe.Close() // it is only read from
	}
}
