package daemonry

import (
	"errors"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// Captured is what this process prints, for it to read.
type Captured struct {
	// Stdout and Stderr read what Go code prints to os.Stdout and os.Stderr, package log included,
	// and programs that are given these files. They are to be read all the time: who prints waits
	// when 64 KiB are not read (pipe(7)), and gets EPIPE when they are closed. They end after
	// Close.
	Stdout, Stderr *os.File
	// Log and ErrLog are where that went before, and what is not to be read again is written: the
	// log file, /dev/null, or a terminal in the foreground. They are descriptors 1 and 2, and
	// follow Ready and ReopenLog. What Fail says goes to ErrLog, for nobody is left to read it; so
	// does what prints to descriptors 1 and 2 by number: the Go runtime when it ends the process,
	// println, C code. In a pipe that nobody reads any more that would hold the process for ever.
	Log, ErrLog *os.File

	pipes [2]*os.File
}

// CaptureOutput has this process read what it prints, for as long as it lives, as a program wants
// that gives every line a time or sends it somewhere. It is called after Detach, while no other
// goroutine prints: it puts pipes into os.Stdout and os.Stderr. The launcher's error then has as
// last words what is written to ErrLog.
func CaptureOutput() (*Captured, error) {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.role == roleNone || self.failed != nil {
		return nil, errors.New("daemonry: CaptureOutput was called before Detach")
	}
	if self.captured != nil {
		return nil, errors.New("daemonry: the output is captured already")
	}
	stdout, w1, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("daemonry: capture output: %w", err)
	}
	stderr, w2, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("daemonry: capture output: %w", err),
			stdout.Close(), w1.Close())
	}
	log, errLog := *os.Stdout, *os.Stderr
	self.captured = &Captured{stdout, stderr, &log, &errLog, [2]*os.File{w1, w2}}
	// The files, not the variables: whoever has a copy of those, as package log, prints there too.
	*os.Stdout, *os.Stderr = *w1, *w2
	return self.captured, nil
}

// Close puts Log and ErrLog back into os.Stdout and os.Stderr, so that Stdout and Stderr end when
// they have been read, unless a child goes on printing. What other goroutines print meanwhile is
// not lost. All four files stay open: who reads has not come to the end yet.
func (c *Captured) Close() error {
	self.mu.Lock()
	defer self.mu.Unlock()
	if self.captured != c {
		return nil
	}
	self.captured = nil
	var errs []error
	for i, pipe := range c.pipes {
		// First the descriptor, at once for all; it goes when nobody has that file any more.
		errs = append(errs, sys.WithFD(pipe, func(fd int) error {
			return errors.Join(sys.Dup2(1+i, fd), sys.SetCloseOnExec(fd, true))
		}))
	}
	*os.Stdout, *os.Stderr = *c.Log, *c.ErrLog
	return errors.Join(errs...)
}
