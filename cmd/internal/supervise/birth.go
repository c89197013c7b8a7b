package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// birth is one start, away from the owner: it has copies of all it needs.
type birth struct {
	spawn   func(context.Context, *spawn.Spec) (int, error)
	spec    spec.Service
	environ *environment
	logs    *logs.Engine
	logDir  string       // for a service that names no file
	log     logs.Config  // known from serviceEnd on
	stream  *logs.Stream // opened if it is nil
	printed int64        // into it before, if another process prints into it already
	output  sys.FileID   // of what stream's output goes into
	invoked string
	notify  string // address for NOTIFY_SOCKET
	handed  handover.ToProcess
	lock    *os.File
	room    *room
	stuck   stuck
	ready   string // FIFO for a probe of the kind FD

	removing <-chan struct{} // of the log of an earlier service of the name, which the new one's would go with; nil: none
	group    *cgroup.Group   // nil: it is born in ours
	noGroup  error           // why group is nil
	identify func(pid int) children.Identity
	identity children.Identity // of what was started. It is true if the pid has not been reaped when the owner hears of it.
}

func (e *Engine) newBirth(s *service) birth {
	environ := &environment{vars: e.o.Environ}
	if s.environ != nil {
		environ = s.environ
	}
	return birth{
		spawn: e.kernel.start, spec: s.spec, environ: environ,
		logs: e.logs, logDir: e.o.LogDir, stream: s.stream, invoked: s.Invocation(), identify: e.kernel.Identify,
		lock: e.o.Lock, room: e.room, ready: e.readyPipe(s.spec.Name), stuck: e.stuckFor(s),
		removing: e.removing[s.spec.Name],
		group:    s.Group(), noGroup: e.cgroups.For(s.spec.Cgroup).Reason(),
	}
}

// start starts the process and finds out who it is. What its description names is waited for until ctx
// ends.
func (b *birth) start(ctx context.Context) (_ *launch.Watch, err error) {
	defer b.handed.Close()
	if err := b.room.enter(ctx, birthDescriptors); err != nil {
		return nil, err
	}
	defer b.room.leave(birthDescriptors)
	var sp spawn.Spec
	if err := b.describe(ctx, &sp, b.spec.Command); err != nil {
		return nil, err
	}
	ends, err := b.logEnds(ctx)
	if err != nil {
		return nil, err
	}
	defer ends.close()
	streams, err := launch.OpenStreams(ctx, b.spec.Process, sp.Credential, ends.out)
	if err != nil {
		return nil, err
	}
	defer streams.Close()
	sp.Files = streams.Files
	ends.part(&sp)
	if err := b.handed.Fill(&sp); err != nil {
		return nil, err
	}
	pipe := func() (ours, its *os.File, err error) { return makeReadyPipe(b.ready) }
	files := []string{b.log.Path, b.log.ErrPath}
	w, err := launch.NewWatch(ctx, &sp, b.spec.Process, b.spec.Ready, files, pipe)
	if err != nil {
		return nil, err
	}
	defer func() {
		if w.Started(); err != nil {
			w.Close()
		}
	}()
	var into *os.File
	if b.group != nil {
		if into, err = b.group.Prepare(b.spec.Limits); err != nil {
			return nil, err
		}
		defer into.Close()
	}
	if pid, spawnErr := b.spawnInto(ctx, into, &sp); spawnErr == nil {
		b.identity = b.identify(pid)
	} else if removeErr := b.group.Remove(); removeErr != nil {
		err = fmt.Errorf("%w (and %w)", spawnErr, removeErr)
	} else {
		err = spawnErr
	}
	return w, err
}

// describe fills in all but the descriptors.
func (b *birth) describe(ctx context.Context, sp *spawn.Spec, argv spec.Command) error {
	if err := b.stuck.still(); err != nil {
		return err
	}
	if err := b.describeBare(ctx, sp, argv); err != nil {
		return err
	}
	if b.group == nil && b.spec.Cgroup != "" {
		return b.noGroup
	}
	if b.group == nil && needsCgroup(b.spec.Limits) {
		return fmt.Errorf("limits: no control group for the service can be made: %w", b.noGroup)
	}
	sp.Hold = b.lock
	var err error
	if b.spec.Orphan == spec.OrphanEnd {
		if sp.DeathSignal, err = b.spec.Stop[0].Signal.Number(); err != nil {
			return fmt.Errorf("orphan: %w", err)
		}
	}
	sp.Env = append(sp.Env, b.variables()...)
	return nil
}

// describeBare describes a process that is none of the service's, but runs as they do.
func (b *birth) describeBare(ctx context.Context, sp *spawn.Spec, argv spec.Command) error {
	if b.environ.err != nil {
		return b.environ.err
	}
	p := b.spec.Process
	p.Cgroup = "" // below which b.group is
	sp.Session = true
	return launch.Describe(ctx, sp, p, argv, b.environ.vars, p.Chdir)
}

// startCommand starts a helper command and returns its pid.
func (b *birth) startCommand(ctx context.Context, argv spec.Command, mainPID int) (int, error) {
	var sp spawn.Spec
	if err := b.describe(ctx, &sp, argv); err != nil {
		return 0, err
	}
	if mainPID != 0 {
		sp.Env = append(sp.Env, "MAINPID="+strconv.Itoa(mainPID))
	}
	if b.stream != nil {
		end, err := sys.Within(ctx, "log", b.stream.ServiceEnd, func(f *os.File) { f.Close() })
		if err != nil {
			return 0, fmt.Errorf("log: %w", err)
		}
		defer end.Close()
		sp.Files = []spawn.File{{FD: 1, Source: end}, {FD: 2, Source: end}}
	}
	if b.group == nil {
		return b.spawn(ctx, &sp)
	}
	into, err := b.group.Command()
	if err != nil {
		return 0, err
	}
	defer into.Close()
	return b.spawnInto(ctx, into, &sp)
}

// spawnInto starts a process in a control group, nil for ours.
func (b *birth) spawnInto(ctx context.Context, group *os.File, sp *spawn.Spec) (int, error) {
	sp.Into = group
	pid, err := b.spawn(ctx, sp)
	if group != nil && noClone3(err) {
		sp.Into, sp.Cgroup = nil, group.Name() // without clone3(2) it has to go there by itself
		pid, err = b.spawn(ctx, sp)
	}
	return pid, err
}

// noClone3 says that a process can not be born in a control group: ENOSYS, and EPERM from filters
// that predate the call. It has no other reason for that (EACCES, EBUSY); and where it has, the
// process will not get into the group by itself either.
func noClone3(err error) bool {
	var step *spawn.StepError
	return errors.As(err, &step) && step.Step == spawn.StepCgroup && (errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM))
}

// logged says whether "log" means anything to the service.
func (b *birth) logged() bool {
	return b.logs != nil && (b.spec.Stdout.Kind == spec.StreamLog || b.spec.Stderr.Kind == spec.StreamLog)
}

// openLog opens the log of the service, if it has one.
func (b *birth) openLog() (err error) {
	if !b.logged() {
		return nil
	}
	b.log, err = logConfig(b.spec, b.logDir)
	if err == nil && b.stream == nil {
		if b.removing != nil {
			<-b.removing // it was begun before us
		}
		b.stream, err = b.logs.Open(b.spec.Name, b.log)
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if info, err := os.Stat(b.stream.FIFO()); err == nil {
		b.output = sys.FileIDOf(info) // it only helps to know leftovers again
	}
	return nil
}

// logDescriptors are what the log of a service takes: two FIFOs.
const logDescriptors = 2

// openLogWithin is openLog for what is not part of a start.
func (b *birth) openLogWithin() error {
	if err := b.room.enter(context.Background(), logDescriptors); err != nil {
		return fmt.Errorf("what it prints is not read: %w", err)
	}
	defer b.room.leave(logDescriptors)
	return b.openLog()
}

// variables are those that a supervised service finds in its environment, by the names that
// systemd.exec(5) gave them.
func (b *birth) variables() []string {
	v := []string{children.InvocationVariable + b.invoked}
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

// needsCgroup says whether a limit is asked for that the kernel must watch over: ignored, it would
// be a promise broken.
func needsCgroup(l spec.Limits) bool {
	l.MemoryRestart = 0
	return l != spec.Limits{}
}
