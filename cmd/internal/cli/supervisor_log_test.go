package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/paths"
)

// However much the supervisor has to say, its log and the one before it have a bound.
func TestSupervisorLogIsBounded(t *testing.T) {
	p := paths.Paths{State: t.TempDir()}
	f, err := os.OpenFile(supervisorLog(p), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := newOwnLog(f, p)
	long := errors.New(strings.Repeat("x", 1000))
	for range 5 * mostSupervisorLog / 1000 {
		l.trouble(long)
	}
	l.trouble(errors.New("the last"))
	for _, path := range []string{supervisorLog(p), supervisorLog(p) + ".1"} {
		fi, err := os.Stat(path)
		if err != nil || fi.Size() > mostSupervisorLog+2000 {
			t.Errorf("%s: %v, %v", path, fi.Size(), err)
		}
	}
	data, err := os.ReadFile(supervisorLog(p))
	if err != nil || !strings.HasSuffix(string(data), ": the last\n") {
		t.Errorf("the last words: %v", err)
	}
	// Standard error that is somebody else's file is not touched.
	other, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Truncate(2 * mostSupervisorLog); err != nil {
		t.Fatal(err)
	}
	newOwnLog(other, p).trouble(long)
	if fi, err := other.Stat(); err != nil || fi.Size() < 2*mostSupervisorLog {
		t.Errorf("another file: %v", err)
	}
}
