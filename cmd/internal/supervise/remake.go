package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// Left are the names in the runtime directory by which it is known that a supervisor has not come
// to its end there.
var Left = []string{persist.JournalFile}

// mostNameless bounds the notify sockets that are kept after their name is gone.
const mostNameless = 4

// Remake makes what the engine has in its runtime directory anew, as far as it is not there any
// more, in dir, which is there. It says whether anything was missing. Services go on with what they
// hold: a FIFO without a name is one as before.
func (e *Engine) Remake(ctx context.Context, dir string) (missing bool, err error) {
	if askErr := e.ask(ctx, func() { missing, err = e.remake(dir) }); askErr != nil {
		return false, askErr
	}
	return missing, err
}

func (e *Engine) remake(dir string) (missing bool, err error) {
	switch {
	case e.closing || e.journal.file == nil:
		return false, nil
	case e.still.f != nil:
		return false, ErrBusy
	}
	e.o.RuntimeDir = dir
	// What the logs need first: without it no service is born.
	made, err := e.logs.Remake(filepath.Join(dir, logDir))
	if err != nil {
		return true, err
	}
	missing = made
	if e.notify != nil && !isThere(e.notifyPath()) {
		missing = true
		if err := e.renewNotify(); err != nil {
			return missing, fmt.Errorf("notify socket: %w", err)
		}
	}
	journal := filepath.Join(dir, persist.JournalFile)
	// One that is being written, or that cannot be, is not there for that reason, and is tried
	// again by those who write it.
	if missing || !e.journal.Busy() && e.journal.Failing() == nil && !isThere(journal) {
		missing = true
		e.journal.moved = true
		e.journal.Write(everything)
		if err := e.journal.file.Owner.Claim(dir); err != nil {
			e.o.Trouble(err) // it is for who finds no journal
		}
	}
	if missing {
		e.tellTrouble("something had been removed from " + dir + "; it is there again")
	}
	return missing, e.cgroups.Remember(dir)
}

// notifyPath is where the notify socket should be.
func (e *Engine) notifyPath() string {
	return filepath.Join(e.o.RuntimeDir, "notify", filepath.Base(e.notify.Address))
}

// renewNotify gives services a socket to speak to again, by the name that they know.
func (e *Engine) renewNotify() error {
	old := e.notify
	e.o.Handover.Notify = 0 // that of the program before us is the old one
	if err := e.openNotify(); err != nil {
		return err
	}
	e.nameless = append(e.nameless, old)
	if e.hearAt != nil {
		e.hearAt(e.notify)
	}
	if len(e.nameless) <= mostNameless {
		return nil
	}
	err := e.nameless[0].File().Close()
	e.nameless = slices.Delete(e.nameless, 0, 1)
	return err
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
