package supervised

import (
	"context"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// logEnds are the service's ends of its log: nil for what it does not print into.
type logEnds struct{ out, err *os.File }

func (l *logEnds) close() {
	for _, f := range []*os.File{l.out, l.err} {
		if f != nil {
			f.Close() // nothing was written to it
		}
	}
}

// part gives standard error its own way into the log, if it has one.
func (l *logEnds) part(sp *spawn.Spec) {
	for i, f := range sp.Files {
		if l.err != nil && f.FD == 2 && f.Source == l.out {
			sp.Files[i].Source = l.err
		}
	}
}

// logEnds opens what "log" means to the service, and the log if need be. Who writes it may be
// waiting for the file system that it is on; so this is given up when ctx ends.
func (l *Launch) logEnds(ctx context.Context) (logEnds, error) {
	type opened struct {
		ends logEnds
		by   *Launch
	}
	copied, had := *l, l.Stream // l is somebody else's when this is given up
	open := func() (o opened, err error) {
		o.by = &copied
		o.ends, err = copied.openLogEnds()
		return o, err
	}
	o, err := sys.Within(ctx, "log", open, func(o opened) {
		o.ends.close()
		if copied.Stream != had {
			_ = copied.Stream.Close() // the next start opens it anew
		}
	})
	if o.by != nil { // also where it has failed half way
		l.Stream, l.log, l.Output, l.Printed = copied.Stream, copied.log, copied.Output,
			copied.Printed
	}
	return o.ends, err
}

func (l *Launch) openLogEnds() (ends logEnds, err error) {
	if l.Stream != nil {
		// without, its last words may be an earlier process's
		if stats, err := l.Stream.Stats(); err == nil {
			l.Printed = stats.Bytes
		}
	}
	if err := l.openLog(); err != nil || !l.logged() {
		return ends, err
	}
	if ends.out, err = l.Stream.ServiceEnd(); err == nil && l.log.Apart() {
		ends.err, err = l.Stream.ErrorEnd()
	}
	if err != nil {
		ends.close()
		return logEnds{}, fmt.Errorf("log: %w", err)
	}
	return ends, nil
}
