package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
)

// supervisorUpgrade has the supervisor become the program of a file: by default this one.
func (a *app) supervisorUpgrade(call *supervisorCall, words []string) error {
	if len(words) > 1 {
		return usagef("one file at most")
	}
	var file string
	var err error
	if len(words) == 1 {
		file, err = filepath.Abs(words[0])
	} else {
		file, err = os.Executable()
	}
	if err != nil {
		return err
	}
	ctx, done := untilSignal()
	defer done()
	s, err := a.session()
	if err != nil {
		return failure(err, exitFailed, nil)
	}
	began := time.Now()
	about, err := s.Upgrade(ctx, control.UpgradeRequest{Program: file})
	if err != nil {
		return failure(err, exitFailed, nil)
	}
	if call.json {
		return a.writeJSON(about)
	}
	_, err = fmt.Fprintf(a.out, "supervisor: upgraded: process %d, version %s, %s, within %s\n",
		about.PID, about.Version,
		counted(about.Services, "service"), time.Since(began).Round(time.Millisecond))
	return err
}

// checkState is what a supervisor that may execute us next asks first, and nobody else:
// cmd/internal/successor.
func (a *app) checkState(words []string) error {
	if len(words) != 2 {
		return usagef("two directories are needed")
	}
	if err := successor.Check(os.Stdin, words[0], words[1]); err != nil {
		return &statusError{status: exitFailed, err: err}
	}
	_, err := fmt.Fprintln(a.out, successor.Answer(thisBuild().Version))
	return err
}

// upgraded is Ready for a program that has taken another one's place in the supervisor's process:
// whoever manages it has been told once that it is up, and is told that this has changed nothing.
func (a *app) upgraded() error {
	now, err := sys.Monotonic()
	if err != nil {
		return err
	}
	// In one message: between the two there is nothing to wait for.
	_, err = notify.Client{}.Send(notify.Message{Reloading: true, Monotonic: now})
	if err == nil {
		_, err = notify.Client{}.Ready()
	}
	return errors.Join(err, daemonry.Ready())
}
