package daemonry

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/daemonry/daemonry/internal/sys"
)

// Captured is what this process, and what it starts, prints on standard output and standard error,
// for it to read.
type Captured struct {
	// Stdout and Stderr are to be read all the time: who prints waits when 64 KiB are not read
	// (pipe(7)). They end after Close.
	Stdout, Stderr *os.File
	// Log and ErrLog are where that went before, and what is not to be read again is written: the
	// log file, /dev/null, or a terminal in the foreground. They follow Ready and ReopenLog. What
	// Fail and the Go runtime say when they end the process goes to ErrLog, for nobody is left to
	// read it.
	Log, ErrLog *os.File
}

// CaptureOutput has this process read what it prints, for as long as it lives, as a program wants
// that gives every line a time or sends it somewhere. It is called after Detach. The launcher's
// error then has as last words what is written to ErrLog.
func CaptureOutput() (*Captured, error) {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.role == roleNone || self.failed != nil {
		return nil, errors.New("daemonry: CaptureOutput was called before Detach")
	}
	if self.captured != nil {
		return nil, errors.New("daemonry: the output is captured already")
	}
	c := &Captured{}
	err := c.begin()
	if err == nil {
		err = c.crashIntoLog()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("daemonry: capture output: %w", err), c.end())
	}
	self.captured = c
	return c, nil
}

func (c *Captured) begin() (err error) {
	if c.Log, err = copyOf(1, "standard output"); err != nil {
		return err
	}
	if c.ErrLog, err = copyOf(2, "standard error"); err != nil {
		return err
	}
	if c.Stdout, err = pipeTo(1); err != nil {
		return err
	}
	c.Stderr, err = pipeTo(2)
	return err
}

// copyOf is a copy, close-on-exec, of a descriptor.
func copyOf(fd int, name string) (*os.File, error) {
	copied, err := sys.DupAbove(fd, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), name), nil
}

// pipeTo puts a pipe at that number and returns its other end.
func pipeTo(fd int) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// Fd makes it blocking: whoever inherits it must not have to write twice.
	err = sys.Dup2(int(w.Fd()), fd)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// crashIntoLog is for a process that is about to end and reads nothing more.
func (c *Captured) crashIntoLog() error {
	return debug.SetCrashOutput(c.ErrLog, debug.CrashOptions{})
}

// Close puts Log and ErrLog back in the place of standard output and standard error, so that Stdout
// and Stderr end when they have been read, unless a child goes on printing. All four files stay
// open: who reads has not come to the end yet.
func (c *Captured) Close() error {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.captured != c {
		return nil
	}
	self.captured = nil
	return errors.Join(debug.SetCrashOutput(nil, debug.CrashOptions{}), c.end())
}

func (c *Captured) end() error {
	var errs []error
	for i, log := range []*os.File{c.Log, c.ErrLog} {
		if log != nil {
			errs = append(errs, place(log, 1+i))
		}
	}
	return errors.Join(errs...)
}
