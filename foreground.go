package daemonry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/account"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/pidfile"
)

// managed says whether a manager started this process and waits for it. NOTIFY_SOCKET is inherited
// by whatever such a process starts, a person's shell too, so two things are asked: whether the
// process that systemd started is this one (SYSTEMD_EXEC_PID, systemd 248; others do not say it),
// and whether anybody holds the socket. Where that cannot be found out, Ready has the error.
func managed() bool {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return false
	}
	if pid := os.Getenv("SYSTEMD_EXEC_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return false
	}
	heard, err := notify.Client{}.Heard()
	return heard || err != nil
}

// stayForeground is Detach where nothing is to be detached: this process becomes what the daemon
// would be.
func stayForeground(ctx context.Context, o *Options) error {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.role != roleNone {
		return errAgain
	}
	self.role, self.readyFD = roleForeground, o.ReadyFD
	err := settle(ctx, o)
	if err == nil {
		err = addHandover()
	}
	if err != nil {
		self.failed = fmt.Errorf("daemonry: in the foreground: %w", err)
		if f := self.pidfile; f != nil {
			// If it cannot be removed it stays as a stale one, which is recognised.
			_ = finally(&disk{}, func() error { return errors.Join(f.Remove(), f.Close()) })
			self.pidfile = nil
		}
	}
	return self.failed
}

// settle does in this process what the options say. What needs the rights and the root that it has
// comes first.
func settle(ctx context.Context, o *Options) (err error) {
	if self.plan, err = o.plan(ctx); err != nil {
		return err
	}
	p := self.plan
	if p.pidFile != "" {
		self.pidfile, err = sys.Within(ctx, "open pid file "+p.pidFile,
			func() (*pidfile.File, error) { return claim(p.pidFile, o.PIDFileMode) }, dropPIDFile)
	}
	if err == nil {
		err = openLogs(ctx, o)
	}
	if heard, _ := self.manager.Heard(); err == nil && p.chroot != "" && heard {
		// What cannot be found out, or is nobody, Ready says, as it does without a new root.
		self.manager, err = self.manager.Connect()
	}
	if err != nil {
		return err
	}
	env, err := o.environment() // with the files of users that are outside of a new root
	if err != nil {
		return err
	}
	self.files = o.Files
	if err := o.takeUmask(); err != nil {
		return err
	}
	_, err = sys.Within(ctx, "change root, user and directory", func() (struct{}, error) {
		return struct{}{}, p.enter()
	}, nil)
	if err != nil {
		return err
	}
	if err := take(o.argv(), env); err != nil {
		return err
	}
	return beginLog()
}

// claim has the pid file name this process.
func claim(path string, mode fs.FileMode) (*pidfile.File, error) {
	f, err := pidfile.Acquire(path, pidfile.Options{Mode: mode})
	if err != nil {
		return nil, err
	}
	// Without a fingerprint the lock, which we hold, still proves who we are.
	if err := f.Write(os.Getpid()); err != nil && !errors.Is(err, pidfile.ErrNoFingerprint) {
		return nil, errors.Join(err, f.Remove(), f.Close())
	}
	return f, nil
}

// environment is what the daemon would have, and by which a manager speaks to this very process;
// nil where all stays as it is.
func (o *Options) environment() ([]string, error) {
	if o.Env != nil {
		return append(spawn.Marks(os.Environ()), o.Env...), nil
	}
	if o.User != nil {
		return o.User.environment(os.Environ(), account.System())
	}
	return nil, nil
}

// take gives the process these arguments and this environment.
func take(argv, env []string) error {
	os.Args = argv
	if env == nil {
		return nil
	}
	os.Clearenv()
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("environment: %q: %w", kv, err)
		}
	}
	return nil
}

// openLogs opens what there is for standard output and standard error.
func openLogs(ctx context.Context, o *Options) error {
	p := &self.plan
	open := func(path string, given *os.File) (*os.File, error) {
		if path == "" {
			return ours(given)
		}
		return sys.Within(ctx, "open log file "+path,
			func() (*os.File, error) { return openLog(path, p.logMode, p.user) }, dropLog)
	}
	var err error
	if self.out, err = open(p.logFile, o.Output); err != nil {
		return err
	}
	if self.err = self.out; o.apart() {
		self.err, err = open(p.errFile, o.ErrOutput)
	}
	switch {
	case self.out == nil && self.err == nil:
		p.outputs = noOutput
	case self.out == nil:
		p.outputs = errOutput
	case o.apart():
		p.outputs = twoOutputs
	default:
		p.outputs = bothOutputs
	}
	return err
}

// ours is a file that the caller has open, who may close it: it may even be standard output or
// standard error, where another is to be.
func ours(given *os.File) (*os.File, error) {
	if given == nil {
		return nil, nil
	}
	given.Fd() // makes it blocking: whoever prints there must not have to write twice
	return another(given, given.Name())
}

// beginLog puts the log file, if there is one, in the place of standard output and standard error.
// Until we are ready, Fail speaks to both the log and who started us.
func beginLog() error {
	if self.err == nil {
		return redirect(self.out, nil)
	}
	var err error
	if self.stderr, err = copyOf(2, "standard error"); err != nil {
		return fmt.Errorf("keep standard error: %w", err)
	}
	return redirect(self.out, self.err)
}
