package daemonry

import (
	"context"
	"errors"
	"os"

	"github.com/daemonry/daemonry/internal/lastwords"
	"github.com/daemonry/daemonry/internal/sys"
)

// reserved is how much room a log is given before the daemon is started, so that what it says on a
// disk that fills up is not lost. du(1) shows a log that is by so much larger than ls(1) shows it,
// until it has grown.
const reserved = 64 << 10

// openOutput opens what the daemon prints to until it is ready: the log, if its words can be read
// there, for what it starts before it is ready keeps that; else files in memory. No pipe: its
// reader leaves with the launcher.
func (l *launcher) openOutput() (err error) {
	if l.crash, err = sys.MemoryFile("crash"); err != nil {
		return err
	}
	if l.logLive {
		l.out, l.err = l.log, l.log
		return nil
	}
	if l.out, err = sys.MemoryFile("stdout"); err != nil {
		return err
	}
	l.err = l.out
	if l.o.Capture {
		l.err, err = sys.MemoryFile("stderr")
	}
	return err
}

// openLog opens the log file, or /dev/null if there is none.
func (l *launcher) openLog(ctx context.Context) (err error) {
	plan, capture := l.plan, l.o.Capture
	if plan.logFile == "" {
		l.log, err = plan.openLog()
		return err
	}
	log, err := within(ctx, &l.logDisk, "open log file "+plan.logFile, func() (openedLog, error) {
		f, err := plan.openLog()
		if err != nil {
			return openedLog{}, err
		}
		return prepareLog(f, capture)
	}, func(log openedLog) { dropLog(log.file) })
	if err == nil {
		l.log, l.logOffset, l.logLive, l.logFull = log.file, log.size, log.live, log.full
	}
	return err
}

// dropLog is for one that nobody waits for any more, and to which nothing was written.
func dropLog(f *os.File) { _ = f.Close() }

// openedLog is a log file as it is before the daemon is started.
type openedLog struct {
	file *os.File
	size int64 // what is in it
	live bool  // the daemon prints into it from the beginning
	full bool  // it does not, for there is no room
}

// prepareLog finds out how long the log is and whether it is live. A device or a FIFO is, though
// nothing can be read back from there: somebody waits at its other end. /dev/null and its like are
// not.
func prepareLog(f *os.File, capture bool) (openedLog, error) {
	info, err := f.Stat()
	if err != nil {
		return openedLog{}, errors.Join(err, f.Close())
	}
	log := openedLog{file: f, size: info.Size()}
	if capture || sys.KeepsNothing(f) {
		return log, nil
	}
	log.full = info.Mode().IsRegular() && !sys.SetAside(f, log.size, reserved)
	log.live = !log.full
	return log, nil
}

// lastWords are those of the daemon.
func (l *launcher) lastWords() string {
	if l.err == nil {
		return ""
	}
	from := int64(0)
	if l.err == l.log {
		from = l.logOffset
	}
	var w lastwords.Words
	// What cannot be read has no last words: the launch has failed for a reason of its own.
	_ = w.ReadCrash(l.crash)
	_ = w.ReadFile(l.err, from)
	return w.Text()
}

// keepInLog is for a log that had no room when the daemon was started. If it still has none, the
// words are lost there, as what is printed on a full disk is.
func (l *launcher) keepInLog() (none struct{}) {
	if !l.logFull || l.out == nil {
		return
	}
	// Not by io.Copy, which brings splice(2) and its like into every program that imports this.
	b := make([]byte, 32<<10)
	for at := int64(0); ; {
		n, err := l.out.ReadAt(b, at)
		if _, writeErr := l.log.Write(b[:n]); writeErr != nil || err != nil {
			return
		}
		at += int64(n)
	}
}
