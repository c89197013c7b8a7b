package daemonry

import (
	"context"
	"io/fs"
	"os"

	"github.com/daemonry/daemonry/internal/lastwords"
	"github.com/daemonry/daemonry/internal/sys"
)

// reserved is how much room a log is given before the daemon is started, so that what it says on a
// disk that fills up is not lost. du(1) shows a log that is by so much larger than ls(1) shows it,
// until it has grown.
const reserved = 64 << 10

// output is where standard output or standard error of the daemon goes, or both.
type output struct {
	opened
	disk  disk
	given bool     // the caller has it open
	now   *os.File // what the daemon prints to until it is ready: the file, or one in memory
}

// opened is such a file as it is before the daemon is started.
type opened struct {
	file *os.File
	size int64 // what is in it
	live bool  // the daemon prints into it from the beginning
	full bool  // it does not, for there is no room
}

// openOutputs opens what the daemon prints to: until it is ready the logs, if their words can be
// read there, for what it starts before it is ready keeps them; else files in memory. No pipe: its
// reader leaves with the launcher.
func (l *launcher) openOutputs(ctx context.Context) (err error) {
	mode := l.plan.logMode
	if err := l.stdout.open(ctx, l.plan.logFile, mode, l.o.Output, &l.o); err != nil {
		return err
	}
	if l.o.apart() {
		l.stderr = &output{}
		if err := l.stderr.open(ctx, l.plan.errFile, mode, l.o.ErrOutput, &l.o); err != nil {
			return err
		}
	}
	if l.crash, err = sys.MemoryFile("crash"); err != nil {
		return err
	}
	if err := l.stdout.begin("stdout"); err != nil {
		return err
	}
	l.err = l.stdout.now
	switch {
	case l.stderr != &l.stdout:
		err = l.stderr.begin("stderr")
		l.err = l.stderr.now
	case l.o.Capture:
		l.err, err = sys.MemoryFile("stderr")
	}
	return err
}

// apart says whether standard error goes somewhere else than standard output.
func (o *Options) apart() bool { return o.ErrFile != "" || o.ErrOutput != nil }

// open opens the file of that name, or takes what the caller has open, or /dev/null.
func (out *output) open(
	ctx context.Context, path string, mode fs.FileMode, given *os.File, o *Options,
) error {
	open, drop := func() (*os.File, error) { return openLog(path, mode, o.User) }, dropLog
	what := "open log file " + path
	switch {
	case given != nil:
		out.given, out.file = true, given
		what = "look at " + given.Name()
		open, drop = func() (*os.File, error) { return given, nil }, func(*os.File) {}
	case path == "":
		f, err := openLog("", 0, nil)
		out.opened = opened{file: f}
		return err
	}
	got, err := within(ctx, &out.disk, what, func() (opened, error) {
		f, err := open()
		if err != nil {
			return opened{}, err
		}
		log, err := prepare(f, o.Capture)
		if err != nil {
			drop(f)
		}
		return log, err
	}, func(log opened) { drop(log.file) })
	if err == nil {
		out.opened = got
	}
	return err
}

// dropLog is for one that nobody waits for any more, and to which nothing was written.
func dropLog(f *os.File) { _ = f.Close() }

// prepare finds out how long the log is and whether it is live. A device, a pipe or a socket is,
// though nothing can be read back from there: somebody waits at its other end. /dev/null and its
// like are not.
func prepare(f *os.File, capture bool) (opened, error) {
	info, err := f.Stat()
	if err != nil {
		return opened{}, err
	}
	log := opened{file: f, size: info.Size()}
	if capture || sys.KeepsNothing(f) {
		return log, nil
	}
	log.full = info.Mode().IsRegular() && !sys.SetAside(f, log.size, reserved)
	log.live = !log.full
	return log, nil
}

// begin makes what the daemon prints to until it is ready.
func (out *output) begin(name string) (err error) {
	if out.live {
		out.now = out.file
		return nil
	}
	out.now, err = sys.MemoryFile(name)
	return err
}

// lastWords are those of the daemon.
func (l *launcher) lastWords() string {
	if l.err == nil {
		return ""
	}
	from := int64(0)
	if l.err == l.stderr.file {
		from = l.stderr.size
	}
	var w lastwords.Words
	// What cannot be read has no last words: the launch has failed for a reason of its own.
	_ = w.ReadCrash(l.crash)
	_ = w.ReadFile(l.err, from)
	return w.Text()
}

// keep is for a log that had no room when the daemon was started. If it still has none, the
// words are lost there, as what is printed on a full disk is.
func (out *output) keep() (none struct{}) {
	if !out.full || out.now == nil {
		return
	}
	// Not by io.Copy, which brings splice(2) and its like into every program that imports this.
	b := make([]byte, 32<<10)
	for at := int64(0); ; {
		n, err := out.now.ReadAt(b, at)
		if _, writeErr := out.file.Write(b[:n]); writeErr != nil || err != nil {
			return
		}
		at += int64(n)
	}
}

// close closes the launcher's copies, but not what the caller has: what it gave, and what was
// captured.
func (out *output) close(captured bool) {
	finally(&out.disk, out.keep)
	if out.now != out.file && !captured {
		out.now.Close() // of what was not opened it does nothing
	}
	if !out.given {
		finally(&out.disk, out.file.Close)
	}
}

// redirect puts these in the place of standard output and standard error; nil leaves one as it is.
func redirect(out, err *os.File) error {
	for i, f := range []*os.File{out, err} {
		if f == nil {
			continue
		}
		err := sys.WithFD(f, func(from int) error { return sys.Dup2(from, 1+i) })
		if err != nil {
			return err
		}
	}
	return nil
}

// copyOf is a copy, close-on-exec, of a descriptor.
func copyOf(fd int, name string) (*os.File, error) {
	copied, err := sys.DupAbove(fd, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), name), nil
}
