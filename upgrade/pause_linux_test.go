package upgrade_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/pidfile"
)

// TestPause: the successor serves, and is the main process, while the old one still waits to be
// told; it is not later than its own end either.
func TestPause(t *testing.T) {
	proctest.CheckLeaks(t)
	r := prepare(t)
	file := filepath.Join(r.dir, "pid")
	r.start("-pid", file, "-pause", "1h")
	old := r.pid()
	r.get("/upgrade")
	proctest.Eventually(t, patience, func() error {
		pid := r.pid()
		if pid == old {
			return errors.New("only the old one answers")
		}
		proctest.KillAtEnd(t, pid)
		return nil
	})
	proctest.Eventually(t, patience, func() error {
		if pid := r.pid(); pid != old {
			return errors.New("only the new one answers")
		}
		return nil
	})
	hangUp(t, old)
	proctest.Eventually(t, patience, func() error {
		if text := r.printed(); !strings.Contains(text, "this process has been replaced") {
			return fmt.Errorf("printed %q", text)
		}
		return nil
	})
	if i, err := pidfile.Find(file); err != nil || i.PID == old || i.State != pidfile.Running {
		t.Errorf("the pid file in the pause: %+v %v", i, err)
	} else {
		i.Close()
	}
	if err := syscall.Kill(old, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.firstEnds()
}

// TestPauseEnds: after the pause the old process is told.
func TestPauseEnds(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t, "-pause", "300ms")
	began := time.Now()
	r.upgrade()
	r.firstEnds()
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("the old process ended after %v", took)
	}
}
