//go:build unix

package probe

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

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
