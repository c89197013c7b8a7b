package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// Seen is what was there before the start, and so is not the program's doing.
// The zero value: nothing was there.
type Seen struct {
	// of file: nil if there was none
	file os.FileInfo
	// of tcp, http and unix: somebody answered, and this system does not tell who
	taken bool
	// of log: one for each of Env.Logs, nil if there was none
	logs []os.FileInfo
}

// Look records what is there before the program is started: the file of a check of the kind
// file, the ends of the logs for log. Call it before the start and keep
// the result in [Env.Seen]. For the other kinds it does nothing.
func Look(c Check, env Env) (Seen, error) {
	var s Seen
	var err error
	switch c.Kind {
	case spec.ProbeFile:
		s.file, err = statOrNil(env.path(c.Target))
	case spec.ProbeTCP, spec.ProbeHTTP, spec.ProbeUnix:
		if runtime.GOOS != "linux" {
			s.taken = answered(c, env)
		}
	case spec.ProbeLog:
		s.logs = make([]os.FileInfo, len(env.Logs))
		for i, path := range env.Logs {
			if s.logs[i], err = statOrNil(env.path(path)); err != nil {
				break
			}
		}
	}
	if err != nil {
		return Seen{}, fmt.Errorf("%s: look before the start: %w", c, err)
	}
	return s, nil
}

// errTaken says that an answer cannot be told from that of who was there before.
var errTaken = errors.New("somebody answered there before the start, and this system does not " +
	"tell who does now")

// answered says whether somebody answers a check that nobody should.
func answered(c Check, env Env) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	env.Owner = nil
	if c.Kind == spec.ProbeUnix {
		return askUnix(ctx, env.path(c.Target), env) == nil
	}
	return Once(ctx, c, env) == nil
}

// statOrNil is os.Stat, with nil for what does not exist.
func statOrNil(path string) (os.FileInfo, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return fi, err
}

// askFile tells whether the file is there and not the one an earlier run left.
// Another inode, another size or another modification time is a new file; a
// change of owner or mode is not. Before Linux 6.13, whose time stamps are as
// fine as need be, one case escapes: the same inode rewritten with the same
// size within one clock tick (at most 10 ms) of the write that Look saw.
func askFile(path string, before os.FileInfo) error {
	now, err := statOrNil(path)
	switch {
	case err != nil:
		return fileReason(err)
	case now == nil:
		return errors.New("does not exist")
	case before != nil && os.SameFile(before, now) &&
		before.Size() == now.Size() && before.ModTime().Equal(now.ModTime()):
		return errors.New("is still the file from before the start")
	}
	return nil
}

// fileReason drops the operation and the path, which the check names.
func fileReason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
