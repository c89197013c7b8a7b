package supervise

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/logs"
	"github.com/daemonry/daemonry/internal/probe"
	"github.com/daemonry/daemonry/internal/procopt"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// launch starts the process of s. The work is done elsewhere, because it takes
// a millisecond and looks into files; its result comes back as hSpawned or hSpawnError.
func (e *Engine) launch(s *service, _ cause) {
	e.enter(s, Starting, "")
	s.text, s.step, s.failure, s.rewound = "", 0, "", false
	s.invoked = newInvocation()
	if err := e.openLog(s); err != nil {
		e.post0(func() { e.happen(s, hSpawnError, cause{err: fmt.Errorf("log: %w", err)}) })
		return
	}
	b := birth{spec: s.spec, environ: e.o.Environ, stream: s.stream, invoked: s.invoked}
	if e.notify != nil {
		b.notify = e.notify.Address
	}
	e.starting++
	e.work(func() {
		pid, watch, err := b.start(e.kernel)
		e.post(func() { e.started1(s, pid, watch, err) })
	})
}

// post0 has f run by the owner after what it is doing now.
func (e *Engine) post0(f func()) { go e.post(f) }

// started1 takes the result of a start in. The process may have died, and been reaped, by now.
func (e *Engine) started1(s *service, pid int, watch *watch, err error) {
	e.starting--
	early, dead := e.early[pid]
	if e.starting == 0 {
		clear(e.early)
	}
	if err != nil {
		e.happen(s, hSpawnError, cause{err: err})
		return
	}
	s.pid, s.session, s.startedAt = pid, pid, time.Now()
	e.byPID[pid] = s
	e.happen(s, hSpawned, cause{pid: pid})
	e.watchReady(s, watch)
	if dead {
		e.died(pid, early)
	}
}

// spawned: the program runs.
func (e *Engine) spawned(s *service, _ cause) {
	e.emit(s, Event{Kind: EventState, From: Starting, Reason: "started process " + strconv.Itoa(s.pid)})
}

// spawnedLate: the program runs, but by now it should not.
func (e *Engine) spawnedLate(s *service, _ cause) { e.nextStep(s, cause{}) }

// spawnFailed: there is no process. It is treated like one that failed at once.
func (e *Engine) spawnFailed(s *service, why cause) {
	s.exit = nil
	if s.state != Stopping {
		s.failure = why.err.Error()
	}
	s.startedAt = time.Now()
	e.decide(s, cause{})
}

// openLog opens the stream that the service prints to, unless it is open.
func (e *Engine) openLog(s *service) error {
	if s.stream != nil || e.logs == nil {
		return nil
	}
	stream, err := e.logs.Open(s.spec.Name, e.logConfig(s.spec))
	s.stream = stream
	return err
}

func (e *Engine) logConfig(sp spec.Service) logs.Config {
	return logConfig(sp, filepath.Join(e.o.LogDir, sp.Name+".log"))
}

func newInvocation() string {
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(id[:])
}

// birth is one start, away from the owner: it has copies of all it needs.
type birth struct {
	spec    spec.Service
	environ []string
	stream  *logs.Stream
	invoked string
	notify  string // address for NOTIFY_SOCKET
}

// watch is what a start leaves for those who watch over its readiness.
type watch struct {
	check probe.Check
	env   probe.Env
	pipe  *os.File // of fd:N, our end
}

// start starts the process and returns its pid.
func (b *birth) start(k kernel) (int, *watch, error) {
	var sp spawn.Spec
	if err := procopt.Fill(&sp, b.spec.Process, b.environ); err != nil {
		return 0, nil, err
	}
	dir := b.spec.Chdir
	path, err := procopt.Program(b.spec.Command, sp.Env, b.spec.Chroot, dir)
	if err != nil {
		return 0, nil, err
	}
	sp.Path, sp.Args, sp.Session = path, slices.Clone(b.spec.Command), true
	sp.Env = append(sp.Env, b.variables()...)
	end, err := b.serviceEnd()
	if err != nil {
		return 0, nil, err
	}
	if end != nil {
		defer end.Close()
	}
	streams, err := procopt.OpenStreams(b.spec.Process, sp.Credential, end)
	if err != nil {
		return 0, nil, err
	}
	defer streams.Close()
	sp.Files = streams.Files
	w := &watch{check: checkOf(b.spec.Ready), env: b.probeEnv(&sp, streams)}
	if w.check.Kind == probe.FD {
		r, theirs, err := os.Pipe()
		if err != nil {
			return 0, nil, err
		}
		defer theirs.Close()
		w.pipe = r
		sp.Files = append(sp.Files, spawn.File{FD: w.check.FD, Source: theirs})
	}
	if w.env.Seen, err = probe.Look(w.check, w.env); err != nil {
		return 0, nil, w.close(fmt.Errorf("ready %v: %w", w.check, err))
	}
	pid, err := k.start(&sp)
	if err != nil {
		return 0, nil, w.close(err)
	}
	return pid, w, nil
}

func (w *watch) close(err error) error {
	if w.pipe != nil {
		w.pipe.Close()
	}
	return err
}

func (b *birth) serviceEnd() (*os.File, error) {
	if b.stream == nil || b.spec.Stdout.Kind != spec.StreamLog && b.spec.Stderr.Kind != spec.StreamLog {
		return nil, nil
	}
	end, err := b.stream.ServiceEnd()
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return end, nil
}

// variables are those that a supervised service finds in its environment, by the names that
// systemd.exec(5) gave them.
func (b *birth) variables() []string {
	v := []string{"INVOCATION_ID=" + b.invoked}
	if b.notify != "" && b.spec.NotifyAccess != spec.NotifyNone {
		v = append(v, "NOTIFY_SOCKET="+b.notify)
	}
	if b.spec.Watchdog > 0 {
		v = append(v, "WATCHDOG_USEC="+strconv.FormatInt(time.Duration(b.spec.Watchdog).Microseconds(), 10))
	}
	if b.spec.Instance > 0 {
		v = append(v, spec.InstanceEnv+"="+strconv.Itoa(b.spec.Instance))
	}
	return v
}

func (b *birth) probeEnv(sp *spawn.Spec, streams *procopt.Streams) probe.Env {
	env := probe.Env{Dir: b.spec.Chdir, Environ: sp.Env}
	for _, file := range []string{streams.Stdout, streams.Stderr} {
		if file != "" && !slices.Contains(env.Logs, file) {
			env.Logs = append(env.Logs, file)
		}
	}
	if b.stream != nil && len(env.Logs) == 0 && b.spec.Log.File != "" {
		env.Logs = append(env.Logs, b.spec.Log.File)
	}
	return env
}

func checkOf(p spec.Probe) probe.Check {
	return probe.Check{
		Kind: probe.Kind(p.Kind), Settle: time.Duration(p.Settle), FD: p.FD, Target: p.Target, Argv: p.Argv(),
	}
}

// watchReady waits for readiness in the way the service has chosen. READY=1
// is heard in any case.
func (e *Engine) watchReady(s *service, w *watch) {
	if s.state != Starting {
		w.close(nil)
		return
	}
	if limit := *s.spec.Timeout; limit != spec.Forever && w.check.Kind != probe.Exec && w.check.Kind != probe.Settle {
		e.after(s, timerReady, time.Duration(limit), func() { e.timedOut(s) })
	}
	switch {
	case s.spec.Type == spec.Oneshot && w.check.Kind == probe.Settle:
		// A oneshot is up when it has ended well; settling says nothing.
	case w.check.Kind == probe.Exec:
		e.happen(s, hReady, cause{})
	case w.check.Kind == probe.Settle:
		e.after(s, timerSettle, w.check.Settle, func() { e.happen(s, hReady, cause{}) })
	case w.check.Kind == probe.Notify:
	default:
		e.probeReady(s, w)
	}
}

// probeReady asks from a goroutine of its own, which ends with the start.
func (e *Engine) probeReady(s *service, w *watch) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	w.env.PID = s.pid
	w.env.Owner = func(pid int) bool { return descends(pid, w.env.PID) }
	go func() {
		defer w.close(nil)
		var err error
		if w.check.Kind == probe.FD {
			err = probe.HearFD(ctx, w.pipe, w.check.FD)
		} else {
			err = probe.Wait(ctx, w.check, w.env)
		}
		e.post(func() { e.probed(s, ctx, w.check, err) })
	}()
}

// probed takes the end of a probe in, unless the start it was for is over.
func (e *Engine) probed(s *service, ctx context.Context, check probe.Check, err error) {
	switch {
	case ctx.Err() != nil:
	case err == nil:
		e.happen(s, hReady, cause{})
	default:
		e.happen(s, hNotReady, cause{text: fmt.Sprintf("ready %v: %v", check, err)})
	}
}

func (e *Engine) timedOut(s *service) {
	text := fmt.Sprintf("not ready within %v (%v)", s.spec.Timeout, s.spec.Ready)
	if s.text != "" {
		text += fmt.Sprintf("; its last status: %q", s.text)
	}
	e.happen(s, hNotReady, cause{text: text})
}

// blocker says what s has to wait for before it can start, "" if nothing.
func (e *Engine) blocker(s *service) string {
	var missing []string
	for _, name := range s.spec.Requires {
		for _, d := range e.expand(name) {
			if !d.satisfied() {
				missing = append(missing, d.describe())
			}
		}
	}
	for _, name := range slices.Concat(s.spec.Wants, s.spec.After) {
		for _, d := range e.expand(name) {
			// Those are only waited for while they are on their way.
			if d.state == Waiting || d.state == Starting || d.state == Stopping && d.wanted {
				missing = append(missing, d.describe())
			}
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	if len(missing) == 0 {
		return ""
	}
	return "waits for " + strings.Join(missing, ", ")
}

// satisfied says whether those that require s may start.
func (s *service) satisfied() bool {
	return s.state == Ready || s.state == Stopped && s.reason == completedText
}

func (s *service) describe() string {
	if s.state == Failed || s.state == Stopped || s.state == Backoff {
		return fmt.Sprintf("%s (%v)", s.spec.Name, s.state)
	}
	return s.spec.Name
}

// expand returns the service of a name, or its instances.
func (e *Engine) expand(name string) []*service {
	if s := e.services[name]; s != nil {
		return []*service{s}
	}
	var list []*service
	for n := 1; ; n++ {
		s := e.services[name+"@"+strconv.Itoa(n)]
		if s == nil {
			return list
		}
		list = append(list, s)
	}
}

// dependents lets those go on that waited for s: to start, or to stop.
func (e *Engine) dependents(s *service) {
	for d := range e.pending {
		switch {
		case d.state == Waiting && d.dependsOn(s):
			if blocker := e.blocker(d); blocker != "" {
				d.reason = blocker
				d.wake()
			} else {
				e.post0(func() {
					if e.blocker(d) == "" {
						e.happen(d, hDepsMet, cause{})
					}
				})
			}
		case d.holding && s.dependsOn(d):
			e.post0(func() { e.releaseStop(d) })
		}
	}
}

// dependsOn says whether s names d as something that comes before it.
func (s *service) dependsOn(d *service) bool {
	for _, list := range [][]string{s.spec.Requires, s.spec.Wants, s.spec.After} {
		for _, name := range list {
			if name == d.spec.Name || name == d.spec.BaseName() {
				return true
			}
		}
	}
	return false
}
