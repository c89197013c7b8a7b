package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// Stream is the output of one service. Its methods may be called from any goroutine.
type Stream struct {
	id string
	e  *Engine
	w  *worker

	// What follows belongs to w's goroutine once the stream is attached.

	cfg     *Config
	out     input
	err     *input // standard error, where it is apart
	file    sink
	errFile *sink // where cfg.ErrPath is
	outlets []*outlet
	limit   *limiter
	stats   Stats
	closed  bool
}

// input is the reading end of one FIFO.
type input struct {
	s     *Stream
	which line.Stream
	fd    int32
	key   int32 // index in the worker's table

	due   int64 // when it is to be read, if it is in the worker's queue
	place int32 // its place there, -1 when it is not there
	gap   int32 // how long it is left to gather, in microseconds
	last  int64 // when it was read last
	bytes int64 // how much was read since the time since, for the rate
	since int64
	fast  bool  // the rate is so high that it is not left to gather
	size  int32 // capacity of the pipe
	large bool  // that is not the size it was made with

	ended bool  // all writers have closed it; it is not armed
	cut   bool  // they have since anything was written: an open line is a finished one
	held  int64 // since when the beginning of a line has been left in the pipe; 0: it has not

	after line.State  // state of the file after the piece that is being written, if it is formatted
	stuck *stage.Slot // output that could not be written; while there is some, nothing is read
	why   error       // why it could not

	retryAt int64         // when to try again
	pause   time.Duration // between the last attempt and that
}

// sink is one log file and its rotated predecessors.
type sink struct {
	s    *Stream
	path string
	file *logFile // nil while it is not open
	end  line.State
	last int64 // Unix microseconds of the newest rotated name we made

	rotateAfter int64  // after a rotation that failed: when to try again
	rotateError string // and how it failed
}

// Stats is what a stream has been through since it was opened.
type Stats struct {
	Bytes      int64 // read from the service
	Reads      int64 // in how many pieces
	Dropped    int64 // of them thrown away because the log file could not be written
	Suppressed int64 // of them held back by the rate limit
	Writers    bool  // somebody holds a FIFO's writing end
	Trouble    error // why the log cannot be written now; nil when it can
}

func (e *Engine) fifoPath(id string, which line.Stream) string {
	dir := e.fifoDir()
	if which == line.Err {
		dir = e.errDir()
	}
	return filepath.Join(dir, id)
}

// fifoMode lets a service that runs as another user open its own /dev/stdout again, which
// needs permission on the FIFO itself. Nobody else can: the directory is 0700.
const fifoMode = 0o622

func (s *Stream) openInput(in *input, which line.Stream) error {
	path := s.e.fifoPath(s.id, which)
	if err := sys.MakeFIFO(path, fifoMode); err != nil {
		return err
	}
	fd, err := sys.OpenFIFOReader(path)
	if err != nil {
		return err
	}
	*in = input{
		s: s, which: which, fd: int32(fd), key: -1, place: -1, gap: startGap, size: smallPipe,
	}
	if n, err := sys.PipeSize(fd); err == nil {
		in.size = int32(n)
	}
	return nil
}

// openInputs opens the FIFOs that the settings ask for, and the one for standard error also if a
// running process may still have it.
func (s *Stream) openInputs() error {
	if err := s.openInput(&s.out, line.Out); err != nil {
		return err
	}
	_, err := sys.StatPath(s.e.fifoPath(s.id, line.Err))
	if !s.cfg.Apart() && err != nil && s.e.left[source{s.id, line.Err}] == nil {
		return nil
	}
	s.err = new(input)
	if err := s.openInput(s.err, line.Err); err != nil {
		s.err = nil
		return errors.Join(err, sys.CloseFD(int(s.out.fd)))
	}
	return nil
}

// setUp derives from the settings what the worker keeps beside them.
func (s *Stream) setUp() {
	s.file = sink{s: s, path: s.cfg.Path}
	s.errFile = nil
	if s.cfg.ErrPath != "" {
		s.errFile = &sink{s: s, path: s.cfg.ErrPath}
	}
	s.limit = nil
	if s.cfg.Limit.Lines > 0 {
		s.limit = newLimiter(s.cfg.Limit)
	}
}

// tend has the rotated files of earlier times treated as the settings say now.
func (s *Stream) tend() {
	s.e.upkeep.tend(s.id, s.cfg.Path, s.cfg.Rotate)
	s.e.upkeep.tend(s.id, s.cfg.ErrPath, s.cfg.Rotate)
}

// inputs returns the stream's inputs, the first always, the second where standard error is apart.
func (s *Stream) inputs() []*input {
	if s.err != nil {
		return []*input{&s.out, s.err}
	}
	return []*input{&s.out}
}

// sinkOf returns the file for what comes from the input.
func (s *Stream) sinkOf(in *input) *sink {
	if in.which == line.Err && s.errFile != nil {
		return s.errFile
	}
	return &s.file
}

// ID returns the name the stream was opened under.
func (s *Stream) ID() string { return s.id }

// FIFO returns the path of the FIFO for standard output, and error where that is not apart.
func (s *Stream) FIFO() string { return s.e.fifoPath(s.id, line.Out) }

// ServiceEnd opens the writing end, to be the standard output (and error, see ErrorEnd) of a
// process about to be started. The caller closes it once the process has it. It is open for reading
// as well, so that the service outlives this engine without SIGPIPE.
func (s *Stream) ServiceEnd() (*os.File, error) { return s.end(line.Out) }

// ErrorEnd is ServiceEnd for standard error: the same FIFO, unless Config.ErrPath or
// Config.Format.Mark sets it apart.
func (s *Stream) ErrorEnd() (*os.File, error) { return s.end(line.Err) }

func (s *Stream) end(which line.Stream) (*os.File, error) {
	var f *os.File
	err := s.do(func() error {
		in := &s.out
		if which == line.Err && s.cfg.Apart() {
			in = s.err
		}
		var err error
		if f, err = s.w.openEnd(in); err != nil {
			return err
		}
		if err := s.w.revive(in); err != nil {
			return errors.Join(err, f.Close())
		}
		return nil
	})
	return f, err
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

// Drain carries everything that is in the FIFO now and returns once it is written: after the death
// of a process its last words are in the log. The error is why they are not.
func (s *Stream) Drain() error { return s.do(func() error { return s.w.drain(s) }) }

// Reopen closes the log file; the next output opens, or makes, the one that has the name then. For
// logrotate.
func (s *Stream) Reopen() error { return s.do(func() error { return s.w.closeFiles(s) }) }

// Reconfigure makes cfg hold for what is read from now on. That standard error is apart, or is not
// any more, holds for processes started from now on.
func (s *Stream) Reconfigure(cfg Config) error {
	cfg.complete(s.e.opts.Group)
	return s.do(func() error { return s.w.reconfigure(s, &cfg) })
}

// Stats returns the stream's counters.
func (s *Stream) Stats() (Stats, error) {
	var st Stats
	err := s.do(func() error {
		st = s.stats
		for _, in := range s.inputs() {
			st.Writers = st.Writers || s.w.written(in)
			if st.Trouble == nil {
				st.Trouble = in.why
			}
		}
		return nil
	})
	return st, err
}

// Close drains the stream and stops carrying it. The FIFO stays for a process that still has it.
func (s *Stream) Close() error { return s.do(func() error { return s.w.detach(s) }) }

// Remove is Close for a service that is gone: it removes the FIFO too. The log files stay.
func (s *Stream) Remove() error {
	errs := []error{s.Close()}
	for _, which := range []line.Stream{line.Out, line.Err} {
		if err := os.Remove(s.e.fifoPath(s.id, which)); err != nil && !os.IsNotExist(err) {
			errs = append(errs, fmt.Errorf("log of %s: %w", s.id, err))
		}
	}
	return errors.Join(errs...)
}
