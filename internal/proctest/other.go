//go:build !linux

package proctest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

// Numbers of signals that not every platform names; none is sent here, since
// Command skips the test.
const (
	sigusr1 = sys.Signal(10)
	sigusr2 = sys.Signal(12)
	sigpipe = sys.Signal(13)
	sigchld = sys.Signal(17)
	sigttou = sys.Signal(22)
	sigttin = sys.Signal(21)
	sigtstp = sys.Signal(20)
)

func belowInit() bool { return true }
func runInit() int    { return 1 }

type system struct{}

func systemBefore(testing.TB) system { return system{} }
func (system) check(testing.TB)      {}

// Command skips the test: hostile launchers are made for Linux only.
func (h Hostile) Command(t testing.TB, _ ...string) *exec.Cmd {
	t.Helper()
	t.Skip("hostile launchers are made for Linux only")
	return nil
}

// Slave skips the test: there are terminals for tests on Linux only.
func (tt *Terminal) Slave(t testing.TB) *os.File {
	t.Helper()
	t.Skip("terminals for tests are made for Linux only")
	return nil
}

// HangUp does nothing: no terminal was opened.
func (tt *Terminal) HangUp() string { return "" }
