package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// pausedName is a file in the runtime directory for as long as nobody is answered because the
// program is being replaced.
const pausedName = "upgrading"

// PauseTime is how long an upgrade can keep commands waiting: until the answers before it are out,
// the engine stands still, and the new program has read what there is.
const PauseTime = answerTime + quietTime + stillTime + startTime

// startTime is for the new program, from its first instruction to its first answer.
const startTime = 14 * time.Second

// PausedUntil is when a supervisor that does not answer now, because its program is being replaced,
// will have answered; the zero time if it is not that.
func PausedUntil(runtime string) time.Time {
	fi, err := os.Lstat(filepath.Join(runtime, pausedName))
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime().Add(PauseTime)
}

// showPaused says so to commands. Where that cannot be (no inode is left), they say after a while
// that the supervisor does not answer.
func showPaused(runtime string) {
	name := filepath.Join(runtime, pausedName)
	if err := os.WriteFile(name, nil, 0o600); err == nil {
		now := time.Now()
		_ = os.Chtimes(name, now, now) // of one that is left over
	}
}

func hidePaused(runtime string) error {
	if err := os.Remove(filepath.Join(runtime, pausedName)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
