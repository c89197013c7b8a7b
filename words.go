package daemonry

import (
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
	inLog, err := l.prepareLog()
	if err != nil {
		return err
	}
	if inLog {
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

// prepareLog says whether the daemon prints into the log from the beginning. To a device or a FIFO
// it does, though nothing can be read back from there: somebody waits at its other end. To
// /dev/null and its like it does not.
func (l *launcher) prepareLog() (bool, error) {
	if l.plan.logFile == "" {
		return false, nil
	}
	info, err := l.log.Stat()
	if err != nil {
		return false, err
	}
	l.logOffset = info.Size()
	if l.o.Capture || sys.KeepsNothing(l.log) {
		return false, nil
	}
	l.logFull = info.Mode().IsRegular() && !sys.SetAside(l.log, l.logOffset, reserved)
	return !l.logFull, nil
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
func (l *launcher) keepInLog() {
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
