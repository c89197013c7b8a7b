package supervise

import (
	"context"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/persist"
)

// Left are the names in the runtime directory by which it is known that a supervisor has not come
// to its end there.
var Left = []string{persist.JournalFile}

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
	case e.shared.Closing || e.keeper.NoJournal() != nil:
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
	renewed, err := e.hearing.Renew(dir)
	if missing = made || renewed; err != nil {
		return missing, err
	}
	if missing = missing || e.keeper.Missing(dir); missing {
		e.keeper.Move(dir)
		e.tellTrouble("something had been removed from " + dir + "; it is there again")
	}
	return missing, e.cgroups.Remember(dir)
}
