package supervise

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
)

func TestStartErrorStatus(t *testing.T) {
	exec := func(errno syscall.Errno) error {
		return fmt.Errorf("wrapped: %w",
			&spawn.StepError{Step: spawn.StepExec, Object: "x", Err: errno})
	}
	for _, tt := range []struct {
		name string
		err  StartError
		want int
	}{
		{"the program's own", StartError{Exit: &control.Exit{Code: 7}}, 7},
		{"a signal", StartError{Exit: &control.Exit{Signal: "SEGV"}}, 139},
		{"a good end too early", StartError{Exit: &control.Exit{}}, 125},
		{"not in time, and killed for it",
			StartError{Exit: &control.Exit{Signal: "TERM"}, Err: lifecycle.ErrNotReady}, 124},
		{"not found", StartError{Err: exec(syscall.ENOENT)}, 127},
		{"not executable", StartError{Err: exec(syscall.EACCES)}, 126},
		{"another step",
			StartError{
				Err: &spawn.StepError{Step: spawn.StepDirectory, Object: "/x", Err: syscall.ENOENT},
			}, 125},
		{"no such user", StartError{Err: errors.New("no such user")}, 125},
		{"what it requires has failed", StartError{}, 125},
	} {
		if got := tt.err.Status(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
