package waiters

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/spawn"
)

func TestStatus(t *testing.T) {
	exec := func(errno syscall.Errno) error {
		return fmt.Errorf("wrapped: %w",
			&spawn.StepError{Step: spawn.StepExec, Object: "x", Err: errno})
	}
	for _, tt := range []struct {
		name string
		exit *control.Exit
		err  error
		want int
	}{
		{"the program's own", &control.Exit{Code: 7}, nil, 7},
		{"a signal", &control.Exit{Signal: "SEGV"}, nil, 139},
		{"a good end too early", &control.Exit{}, nil, 125},
		{"not in time, and killed for it",
			&control.Exit{Signal: "TERM"}, lifecycle.ErrNotReady, 124},
		{"not found", nil, exec(syscall.ENOENT), 127},
		{"not executable", nil, exec(syscall.EACCES), 126},
		{"another step", nil,
			&spawn.StepError{Step: spawn.StepDirectory, Object: "/x", Err: syscall.ENOENT}, 125},
		{"no such user", nil, errors.New("no such user"), 125},
		{"no process", nil, nil, 125},
	} {
		s := &fake{exit: tt.exit, cause: tt.err}
		e := Failed(s, "broke")
		if e.Status != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, e.Status, tt.want)
		}
		if !errors.Is(e, tt.err) && tt.err != nil || e.Exit != tt.exit {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
}
