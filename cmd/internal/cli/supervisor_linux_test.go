package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// A supervisor that has said goodbye and does not go is told of, with its pid; "supervisor stop"
// does not wait for what a file system may never answer.
func TestDoesNotLeave(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	process, err := sys.Pin(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer process.Close()
	err = awaitLeave(t.Context(), process, time.Millisecond)
	var status *statusError
	if !errors.As(err, &status) || status.status != exitFailed {
		t.Errorf("%v", err)
	}
	if want := fmt.Sprintf("process %d is not gone after 1ms", process.PID); err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("%v, not %s", err, want)
	}
}
