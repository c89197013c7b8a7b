package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// CommandError is a command of the init system that did not succeed.
type CommandError struct {
	Argv   []string
	Status int    // its exit status, -1 if it has none
	Words  string // what it said on standard error, in one line
	Err    error
}

func (e *CommandError) Error() string {
	text := strings.Join(e.Argv, " ") + ": " + e.Err.Error()
	if e.Words != "" {
		text += ": " + e.Words
	}
	return text
}

// Unwrap returns what kept the command from starting, or how it ended.
func (e *CommandError) Unwrap() error { return e.Err }

// patience is how long a command may take: longer than a service may to start
// or to stop, so that it is the init system who says that it took too long.
const patience = 35 * time.Minute

// run runs a command on the machine.
func (m *Machine) run(ctx context.Context, argv ...string) (string, error) {
	if m.Run != nil {
		return m.Run(ctx, argv...)
	}
	return runCommand(ctx, m.environ(os.Getenv, "/run/user"), argv...)
}

// environ is what the commands of an init system get: messages are ours to pass on; what is asked
// for is not in any language. The manager of a user is found by XDG_RUNTIME_DIR, which a login sets
// and su, sudo and cron do not; its directory is always the same (pam_systemd(8)).
func (m *Machine) environ(getenv func(string) string, runtimes string) []string {
	env := append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	if !m.User || m.Owner != nil || m.System != Systemd || getenv("XDG_RUNTIME_DIR") != "" {
		return env
	}
	dir := filepath.Join(runtimes, strconv.Itoa(m.UID))
	fi, err := os.Lstat(dir)
	if err != nil || !fi.IsDir() {
		return env // systemctl says what is missing
	}
	if owner, _, err := sys.FileOwner(fi); err != nil || owner.UID != m.UID {
		return env
	}
	return append(env, "XDG_RUNTIME_DIR="+dir)
}

func runCommand(ctx context.Context, env []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, words bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &words
	cmd.Env = env
	// A service that a script starts may keep the pipes: its end is not ours to wait for.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return out.String(), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	said := strings.Join(strings.Fields(words.String()), " ")
	e := &CommandError{Argv: argv, Status: -1, Words: said, Err: err}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		e.Status = exit.ExitCode()
		e.Err = fmt.Errorf("exit status %d", e.Status)
		if e.Status < 0 {
			e.Err = errors.New(exit.ProcessState.String())
		}
	} else if errors.Is(err, exec.ErrNotFound) {
		e.Err = exec.ErrNotFound // without the name once more
	}
	return out.String(), e
}

// exitStatus is that of a command that ran, or an error if it did not.
func exitStatus(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	if e, ok := errors.AsType[*CommandError](err); ok && e.Status >= 0 {
		return e.Status, nil
	}
	return -1, err
}

// inTree is a command that exists in the tree of the machine.
func (m *Machine) inTree(argv ...string) []string {
	if m.live() {
		return argv
	}
	return append([]string{"chroot", m.Root}, argv...)
}
