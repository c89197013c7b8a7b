// Package supervised launches the processes of a supervised service: the main one, helper commands,
// and programs that read its log.
package supervised

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

// Launch is one start of a process of a service, away from the owner: it has copies of all it
// needs.
type Launch struct {
	Spawn    func(context.Context, *spawn.Spec) (int, error)
	Identify func(pid int) children.Identity

	Spec       spec.Service
	Environ    []string // what the service inherits
	EnvironErr error    // why that cannot be had
	Invocation string
	Group      *cgroup.Group // nil: it is born in ours
	NoGroup    error         // why Group is nil
	Notify     string        // address for NOTIFY_SOCKET
	ReadyPipe  string        // FIFO for readiness of the kind "fd"
	Handed     handover.ToProcess
	Lock       *os.File // held until the program is executed
	Room       *Room
	Stuck      Stuck

	Logs *logs.Engine
	// for a service that names no file
	LogDir string
	// opened if it is nil
	Stream *logs.Stream
	// of the log of an earlier service of the name, which the new one's would go with; nil: none
	Removing <-chan struct{}

	// What comes of it.
	Output   sys.FileID        // what Stream's output goes into
	Printed  int64             // into it before, if another process prints into it already
	Identity children.Identity // true if the pid has not been reaped when the owner hears of it

	log logs.Config // known from when the log is opened
}

// Start starts the process and finds out who it is. What its description names is waited for until
// ctx ends.
func (l *Launch) Start(ctx context.Context) (_ *launch.Watch, err error) {
	defer l.Handed.Close()
	if err := l.Room.Enter(ctx, birthDescriptors); err != nil {
		return nil, err
	}
	defer l.Room.Leave(birthDescriptors)
	var sp spawn.Spec
	if err := l.describe(ctx, &sp, l.Spec.Command); err != nil {
		return nil, err
	}
	ends, err := l.logEnds(ctx)
	if err != nil {
		return nil, err
	}
	defer ends.close()
	streams, err := launch.OpenStreams(ctx, l.Spec.Process, sp.Credential, ends.out)
	if err != nil {
		return nil, err
	}
	defer streams.Close()
	sp.Files = streams.Files
	ends.part(&sp)
	if err := l.Handed.Fill(&sp); err != nil {
		return nil, err
	}
	pipe := func() (ours, its *os.File, err error) { return MakeReadyPipe(l.ReadyPipe) }
	files := []string{l.log.Path, l.log.ErrPath}
	w, err := launch.NewWatch(ctx, &sp, l.Spec.Process, l.Spec.Ready, files, pipe)
	if err != nil {
		return nil, err
	}
	defer func() {
		if w.Started(); err != nil {
			w.Close()
		}
	}()
	var into *os.File
	if l.Group != nil {
		if into, err = l.Group.Prepare(l.Spec.Limits); err != nil {
			return nil, err
		}
		defer into.Close()
	}
	if pid, spawnErr := l.spawnInto(ctx, into, &sp); spawnErr == nil {
		l.Identity = l.Identify(pid)
	} else if removeErr := l.Group.Remove(); removeErr != nil {
		err = fmt.Errorf("%w (and %w)", spawnErr, removeErr)
	} else {
		err = spawnErr
	}
	return w, err
}

// describe fills in all but the descriptors.
func (l *Launch) describe(ctx context.Context, sp *spawn.Spec, argv spec.Command) error {
	if err := l.Stuck.still(); err != nil {
		return err
	}
	if err := l.describeBare(ctx, sp, argv); err != nil {
		return err
	}
	if l.Group == nil && l.Spec.Cgroup != "" {
		return l.NoGroup
	}
	if l.Group == nil && needsCgroup(l.Spec.Limits) {
		return fmt.Errorf("limits: no control group for the service can be made: %w", l.NoGroup)
	}
	sp.Hold = l.Lock
	var err error
	if l.Spec.Orphan == spec.OrphanEnd {
		if sp.DeathSignal, err = l.Spec.Stop[0].Signal.Number(); err != nil {
			return fmt.Errorf("orphan: %w", err)
		}
	}
	sp.Env = append(sp.Env, l.variables()...)
	return nil
}

// describeBare describes a process that is none of the service's, but runs as they do.
func (l *Launch) describeBare(ctx context.Context, sp *spawn.Spec, argv spec.Command) error {
	if l.EnvironErr != nil {
		return l.EnvironErr
	}
	p := l.Spec.Process
	p.Cgroup = "" // below which l.Group is
	sp.Session = true
	return launch.Describe(ctx, sp, p, argv, l.Environ, p.Chdir)
}

// StartCommand starts a helper command and returns its pid.
func (l *Launch) StartCommand(ctx context.Context, argv spec.Command, mainPID int) (int, error) {
	var sp spawn.Spec
	if err := l.describe(ctx, &sp, argv); err != nil {
		return 0, err
	}
	if mainPID != 0 {
		sp.Env = append(sp.Env, "MAINPID="+strconv.Itoa(mainPID))
	}
	if l.Stream != nil {
		end, err := sys.Within(ctx, "log", l.Stream.ServiceEnd, func(f *os.File) { f.Close() })
		if err != nil {
			return 0, fmt.Errorf("log: %w", err)
		}
		defer end.Close()
		sp.Files = []spawn.File{{FD: 1, Source: end}, {FD: 2, Source: end}}
	}
	if l.Group == nil {
		return l.Spawn(ctx, &sp)
	}
	into, err := l.Group.Command()
	if err != nil {
		return 0, err
	}
	defer into.Close()
	return l.spawnInto(ctx, into, &sp)
}

// spawnInto starts a process in a control group, nil for ours.
func (l *Launch) spawnInto(ctx context.Context, group *os.File, sp *spawn.Spec) (int, error) {
	sp.Into = group
	pid, err := l.Spawn(ctx, sp)
	if group != nil && noClone3(err) {
		sp.Into, sp.Cgroup = nil, group.Name() // without clone3(2) it has to go there by itself
		pid, err = l.Spawn(ctx, sp)
	}
	return pid, err
}

// noClone3 says that a process can not be born in a control group: ENOSYS, and EPERM from filters
// that predate the call. It has no other reason for that (EACCES, EBUSY); and where it has, the
// process will not get into the group by itself either.
func noClone3(err error) bool {
	var step *spawn.StepError
	return errors.As(err, &step) && step.Step == spawn.StepCgroup &&
		(errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM))
}

// logged says whether "log" means anything to the service.
func (l *Launch) logged() bool {
	return l.Logs != nil &&
		(l.Spec.Stdout.Kind == spec.StreamLog || l.Spec.Stderr.Kind == spec.StreamLog)
}

// openLog opens the log of the service, if it has one.
func (l *Launch) openLog() (err error) {
	if !l.logged() {
		return nil
	}
	l.log, err = LogConfig(l.Spec, l.LogDir)
	if err == nil && l.Stream == nil {
		if l.Removing != nil {
			<-l.Removing // it was begun before us
		}
		l.Stream, err = l.Logs.Open(l.Spec.Name, l.log)
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if info, err := os.Stat(l.Stream.FIFO()); err == nil {
		l.Output = sys.FileIDOf(info) // it only helps to know leftovers again
	}
	return nil
}

// logDescriptors are what the log of a service takes: two FIFOs.
const logDescriptors = 2

// OpenLog opens the log for what is not part of a start.
func (l *Launch) OpenLog() error {
	if err := l.Room.Enter(context.Background(), logDescriptors); err != nil {
		return fmt.Errorf("what it prints is not read: %w", err)
	}
	defer l.Room.Leave(logDescriptors)
	return l.openLog()
}

// variables are those that a supervised service finds in its environment, by the names that
// systemd.exec(5) gave them.
func (l *Launch) variables() []string {
	v := []string{children.InvocationVariable + l.Invocation}
	if l.Notify != "" && l.Spec.NotifyAccess != spec.NotifyNone {
		v = append(v, "NOTIFY_SOCKET="+l.Notify)
	}
	if l.Spec.Watchdog > 0 {
		v = append(v,
			"WATCHDOG_USEC="+strconv.FormatInt(time.Duration(l.Spec.Watchdog).Microseconds(), 10))
	}
	if l.Spec.Instance > 0 {
		v = append(v, spec.InstanceEnv+"="+strconv.Itoa(l.Spec.Instance))
	}
	return v
}

// needsCgroup says whether a limit is asked for that the kernel must watch over: ignored, it would
// be a promise broken.
func needsCgroup(l spec.Limits) bool {
	l.MemoryRestart = 0
	return l != spec.Limits{}
}
