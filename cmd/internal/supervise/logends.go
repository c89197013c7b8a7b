package supervise

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
func (b *birth) logEnds(ctx context.Context) (logEnds, error) {
	type opened struct {
		ends logEnds
		by   *birth
	}
	copied, had := *b, b.stream // b is somebody else's when this is given up
	open := func() (o opened, err error) {
		o.by = &copied
		o.ends, err = copied.openLogEnds()
		return o, err
	}
	o, err := sys.Within(ctx, "log", open, func(o opened) {
		o.ends.close()
		if copied.stream != had {
			_ = copied.stream.Close() // the next start opens it anew
		}
	})
	if o.by != nil { // also where it has failed half way
		b.stream, b.log, b.output, b.printed = copied.stream, copied.log, copied.output, copied.printed
	}
	return o.ends, err
}

func (b *birth) openLogEnds() (l logEnds, err error) {
	if b.stream != nil {
		if stats, err := b.stream.Stats(); err == nil { // without, its last words may be an earlier process's
			b.printed = stats.Bytes
		}
	}
	if err := b.openLog(); err != nil || !b.logged() {
		return l, err
	}
	if l.out, err = b.stream.ServiceEnd(); err == nil && b.log.Apart() {
		l.err, err = b.stream.ErrorEnd()
	}
	if err != nil {
		l.close()
		return logEnds{}, fmt.Errorf("log: %w", err)
	}
	return l, nil
}
