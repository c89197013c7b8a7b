package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/cmd/internal/server"
	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/internal/cgroup"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Whoever needs the supervisor first starts it, and may be a job of a service, of cron, or of
// somebody who wanted it nice and small. The supervisor outlives that, and what it starts is none
// of that: so it has nothing of it.

// ofManager are the variables by which a supervisor of ours, or systemd, speaks to one process
// alone.
var ofManager = []string{
	invocation, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID",
	"LISTEN_PIDFDID", "LISTEN_FDNAMES",
	"FDSTORE", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID",
}

// invocation is in the environment of all that a service starts, and we would be taken for a part
// of it.
const invocation = "INVOCATION_ID"

// ofService are those that mean something of a manager's only within a service: anybody may have
// one of these names.
var ofService = []string{"MAINPID", spec.InstanceEnv}

// outsideOfServices is an environment without them.
func outsideOfServices(environ []string) []string {
	within := slices.ContainsFunc(environ, func(kv string) bool {
		return strings.HasPrefix(kv, invocation+"=")
	})
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ofManager, name) || within && slices.Contains(ofService, name)
	})
}

// usualLimits gives this process the soft limits of process 1, as far as its hard limits let it: a
// supervisor that it starts, and the services of that, do not have what somebody has set for one
// job ("ulimit -n 64"). Where process 1 cannot be seen they stay.
func usualLimits() error {
	usual, err := sys.LimitsOf(1)
	if err != nil {
		return nil
	}
	own, err := sys.LimitsOf(os.Getpid())
	if err != nil {
		return err
	}
	// systemd raises these two for itself, and gives its services the old ones (bump_rlimit_nofile
	// and bump_rlimit_memlock in src/core/main.c): more descriptors than 1024 break who uses
	// select(2).
	first, err := sys.ReadStat(1)
	raised := err == nil && first.Comm == "systemd"
	for name, limit := range own {
		number, ok := sys.RlimitNumber(name)
		of1, told := usual[name]
		// Also where the two are the same: the runtime has raised ours of open files for itself,
		// and lowers it again for children unless it is set (syscall.Setrlimit).
		if !ok || !told || name == "memlock" && raised {
			continue
		}
		limit.Soft = min(of1.Soft, limit.Hard)
		if name == "nofile" && raised {
			limit.Soft = min(limit.Soft, 1024)
		}
		if err := sys.Setrlimit(number, limit); err != nil {
			return fmt.Errorf("set the limit %s: %w", name, err)
		}
	}
	return nil
}

// shed rids a supervisor that a command has started of what it has of that command, and tells what
// it cannot.
func shed(trouble func(error)) {
	if err := cgroup.LeaveService(); err != nil {
		trouble(err)
	}
	if n, err := sys.Nice(); err == nil && n > 0 {
		if err := sys.SetNiceOfAll(0); err != nil {
			trouble(fmt.Errorf("started with niceness %d, which services have too: %w", n, err))
		}
	}
	if n, err := sys.OOMScoreAdj(); err == nil && n != 0 {
		if err := sys.SetOOMScoreAdj(0); err != nil {
			trouble(fmt.Errorf("started with an oom score of %d, which services have too: %w",
				n, err))
		}
	}
}

// launchSupervisor starts a supervisor as a daemon, by way of our own library.
func (a *app) launchSupervisor(ctx context.Context, s *session) error {
	p, err := paths.Find()
	if err == nil {
		err = p.CreateState()
	}
	if err != nil {
		return statusf(exitOurs, "start the supervisor: %w", err)
	}
	log := a.logForSupervisor(p)
	if err := usualLimits(); err != nil {
		return statusf(exitOurs, "start the supervisor: %w", err)
	}
	had := lengthOf(log)
	process, err := daemonry.Detach(ctx, daemonry.Options{
		Background: true, // whatever manages us, the supervisor is not what it waits for
		Name:       program,
		Args:       []string{"supervisor", "run"},
		Env:        supervisorEnviron(),
		LogFile:    log,
	})
	if err == nil {
		if err := a.again(s); err != nil {
			return err
		}
		text := fmt.Sprintf("%s: started the supervisor, process %d", program, process.PID)
		if about, err := s.Supervisor(ctx); err == nil && about.Adopted > 0 {
			text += ", which took over " + counted(about.Adopted, "running service")
		}
		if s.paths.Runtime != p.Runtime {
			text += "; its runtime directory is " + s.paths.Runtime
		}
		_, err = fmt.Fprintln(a.err, text)
		return err
	}
	// Somebody else's may have been faster: then there is one, as was wanted.
	if waitErr := a.appear(ctx, s, appearTime); waitErr == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := statusf(exitOurs, "start the supervisor: %w", err)
	if lengthOf(log) > had {
		e.hint = "its own words are in " + log
	}
	return e
}

// supervisorRun is the supervisor: started by launchSupervisor, or in the foreground for another
// manager.
func (a *app) supervisorRun(call *supervisorCall) error {
	p, err := paths.Find()
	if err == nil && (daemonry.IsDaemon() || successor.Expected()) {
		_, err = daemonry.Detach(context.Background(), daemonry.Options{})
	}
	if err == nil {
		err = a.supervise(p, call)
	}
	if err != nil && daemonry.IsDaemon() {
		daemonry.Fail(err) // whoever started us wants to know
	}
	return err
}

func (a *app) supervise(p paths.Paths, call *supervisorCall) error {
	settings, err := settingsOf(filepath.Join(p.Config, native.DefaultName))
	if err != nil {
		return err
	}
	call.logBudget.over(&settings)
	o, err := a.serverOptions(p, settings)
	if err != nil {
		return err
	}
	o.Ready, o.Displaced = daemonry.Ready, foregroundState(p)
	if daemonry.IsDaemon() {
		shed(o.Trouble)
	}
	if o.Inherited, err = successor.Found(); err != nil {
		return err
	}
	if o.Inherited != nil {
		o.Ready = a.upgraded
	}
	return errors.Join(server.Serve(context.Background(), o), daemonry.Release())
}

// settingsOf reads [supervisor] of the file that a supervisor without other word looks at, if it is
// there.
func settingsOf(path string) (native.Supervisor, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return native.Supervisor{}, nil
	}
	file, err := native.Read(path, native.Options{})
	if err != nil {
		// Services may name variables of whoever calls "up", which we do not have. Any value will
		// do, for they are not looked at.
		other, otherErr := native.Read(path, native.Options{
			LookupEnv: func(name string) (string, bool) {
				if value, ok := os.LookupEnv(name); ok {
					return value, true
				}
				return "1", true
			},
		})
		if otherErr != nil {
			return native.Supervisor{}, err
		}
		file = other
	}
	return file.Supervisor, nil
}

// serverOptions are what settings mean to the server.
func (a *app) serverOptions(p paths.Paths, settings native.Supervisor) (server.Options, error) {
	o := server.Options{
		Paths: p, Version: thisBuild().Version, Metrics: settings.Metrics,
		Trouble:   newOwnLog(a.err, p).trouble,
		LogBudget: int64(settings.LogBudget), Cgroup: settings.Cgroup,
		TCP: server.TCP{
			Listen: settings.Listen.Addr, TokenFile: settings.TokenFile,
			Cert: settings.TLSCert, Key: settings.TLSKey, ClientCA: settings.TLSClientCA,
		},
	}
	if settings.Group == "" {
		return o, nil
	}
	g, err := user.LookupGroup(settings.Group)
	if err != nil {
		return o, fmt.Errorf("supervisor: group: %w", err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return o, fmt.Errorf("supervisor: group %s: %w", settings.Group, err)
	}
	o.Group = &gid
	return o, nil
}
