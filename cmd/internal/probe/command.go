package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// askCommand runs argv and is content with exit status 0. When its time is over
// it is killed with its whole process group. A command that cannot be executed
// at all is not asked again.
func askCommand(ctx context.Context, argv []string, env Env) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = env.Dir, env.Environ
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if env.Attr != nil {
		*cmd.SysProcAttr = *env.Attr
	}
	ownGroup(cmd)
	var output lastLine
	cmd.Stdout, cmd.Stderr = &output, &output
	// A process it left behind may hold its output open: golang/go issue 23019.
	cmd.WaitDelay = 100 * time.Millisecond
	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) ||
			errors.Is(err, fs.ErrPermission) {
			return final{err}
		}
		return err
	}
	err := cmd.Wait()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil // ErrWaitDelay is returned only for exit status 0
	case ctx.Err() != nil:
		return ctx.Err()
	case len(output.text) > 0:
		return fmt.Errorf("%w: %s", err, output.text)
	}
	return err
}

// ownGroup makes the command lead a process group, and makes its end that of
// the group. A command that is to lead a session leads a group by that;
// setpgid(2) would fail.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr.Setpgid = !cmd.SysProcAttr.Setsid
	cmd.Cancel = func() error {
		// The command is our child and not waited for: its pid is not reused.
		err := sys.KillGroup(cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}

// lastLine keeps the last line written to it that is not blank, or its first
// bytes.
type lastLine struct {
	text    []byte
	partial []byte
}

const maxLastLine = 200

func (l *lastLine) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		l.partial = append(l.partial, line[:min(len(line), maxLastLine-len(l.partial))]...)
		if text := bytes.TrimSpace(l.partial); len(text) > 0 {
			l.text = append(l.text[:0], text...)
		}
		if ended {
			l.partial = l.partial[:0]
		}
		rest = after
	}
	return len(p), nil
}
