package logs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// Stream is the output of one service. Its methods may be called from any goroutine.
type Stream struct {
	id string
	e  *Engine
	w  *worker

	// What follows belongs to w's goroutine once the stream is attached.

	cfg    *Config
	in     input
	file   *logFile    // nil while no file is open
	stuck  *stage.Slot // output that could not be written; while there is some, nothing is read
	why    error       // why it could not
	taps   []*Subscription
	stats  Stats
	closed bool

	lastRotation int64 // Unix microseconds of the newest rotated name we made
}

// input is the reading end of one FIFO.
type input struct {
	s   *Stream
	fd  int32
	key int32 // index in the worker's table

	due   int64 // when it is to be read, if it is in the worker's queue
	place int32 // its place there, -1 when it is not there
	gap   int32 // how long it is left to gather, in microseconds
	last  int64 // when it was read last
	size  int32 // capacity of the pipe
	ended bool  // all writers have closed it; it is not armed
}

// Stats is what a stream has been through since it was opened.
type Stats struct {
	Bytes      int64 // read from the service
	Dropped    int64 // of them thrown away because the log could not be written
	Suppressed int64 // of them held back by the rate limit
	Writers    bool  // somebody holds the FIFO's writing end
	Trouble    error // why the log cannot be written now; nil when it can
}

func (s *Stream) fifoPath() string { return filepath.Join(s.e.fifoDir(), s.id) }

// fifoMode lets a service that runs as another user open its own /dev/stdout again, which
// needs permission on the FIFO itself. Nobody else can: the directory is 0700.
const fifoMode = 0o622

func (s *Stream) openInputs() error {
	if err := sys.MakeFIFO(s.fifoPath(), fifoMode); err != nil {
		return err
	}
	fd, err := sys.OpenFIFOReader(s.fifoPath())
	if err != nil {
		return err
	}
	s.in = input{s: s, fd: int32(fd), key: -1, place: -1, gap: startGap}
	return nil
}

// ID returns the name the stream was opened under.
func (s *Stream) ID() string { return s.id }

// ServiceEnd opens the writing end, to be the standard output and error of a process about to
// be started. The caller closes it once the process has it. It is open for reading as well, so
// that the service outlives this engine without SIGPIPE.
func (s *Stream) ServiceEnd() (*os.File, error) {
	fd, err := sys.OpenFIFOBoth(s.fifoPath())
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", s.id, err)
	}
	f := os.NewFile(uintptr(fd), s.fifoPath())
	if err := s.do(func() error { return s.w.revive(&s.in) }); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// do runs f on the worker's goroutine and returns its error.
func (s *Stream) do(f func() error) error {
	done := make(chan error, 1)
	ok := s.w.post(func() {
		if s.closed {
			done <- ErrClosed
			return
		}
		done <- f()
	})
	if !ok {
		return ErrClosed
	}
	if err := <-done; err != nil {
		return fmt.Errorf("log of %s: %w", s.id, err)
	}
	return nil
}

// Drain carries everything that is in the FIFO now and returns once it is written: after the death of a process its
// last words are in the log. The error is why they are not.
func (s *Stream) Drain() error {
	return s.do(func() error { return s.w.drain(s) })
}

// Reopen closes the log file; the next output opens, or makes, the one that has the name then. For logrotate.
func (s *Stream) Reopen() error {
	return s.do(func() error { return s.w.closeFile(s) })
}

// Rotate puts the current file aside now, unless it is empty or ends in the middle of a line.
func (s *Stream) Rotate() error {
	return s.do(func() error { return s.w.rotateNow(s) })
}

// Reconfigure makes cfg hold for what is read from now on.
func (s *Stream) Reconfigure(cfg Config) error {
	if err := cfg.check(); err != nil {
		return fmt.Errorf("log of %s: %w", s.id, err)
	}
	return s.do(func() error {
		// What cannot be written under the old settings is tried under the new ones; Stats says why meanwhile.
		s.why = s.w.drain(s)
		s.cfg = &cfg
		return s.w.closeFile(s)
	})
}

// Stats returns the stream's counters.
func (s *Stream) Stats() (Stats, error) {
	var st Stats
	err := s.do(func() error {
		st = s.stats
		st.Writers = s.w.written(&s.in)
		st.Trouble = s.why
		return nil
	})
	return st, err
}

// Close drains the stream and stops carrying it. The FIFO stays for a process that still has it.
func (s *Stream) Close() error {
	return s.do(func() error { return s.w.detach(s) })
}

// Remove is Close for a service that is gone: it removes the FIFO too. The log files stay.
func (s *Stream) Remove() error {
	if err := s.Close(); err != nil {
		return err
	}
	if err := os.Remove(s.fifoPath()); err != nil {
		return fmt.Errorf("log of %s: %w", s.id, err)
	}
	return nil
}

// Subscribe hands out the output as it comes, from now on, beside whatever else happens to it.
func (s *Stream) Subscribe() (*Subscription, error) {
	sub := &Subscription{s: s, wake: make(chan struct{}, 1)}
	err := s.do(func() error {
		s.taps = append(s.taps, sub)
		return nil
	})
	return sub, err
}

// Next waits for output and returns all there is, cut anywhere. The bytes are the caller's.
func (sub *Subscription) Next(ctx context.Context) ([]byte, error) {
	for {
		if p, err := sub.take(); p != nil || err != nil {
			return p, err
		}
		select {
		case <-sub.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
