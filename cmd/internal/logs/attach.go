package logs

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/internal/sys"
)

// attach begins to carry a stream. An input's stuck slot is what an earlier engine did not finish.
func (w *worker) attach(s *Stream) error {
	for _, in := range s.inputs() {
		if err := w.attachInput(in); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) attachInput(in *input) error {
	if err := w.poll.Add(int(in.fd), w.keyFor(in)); err != nil {
		return err
	}
	in.ended = !w.written(in)
	if in.stuck != nil {
		in.why = errLeft
		w.schedule(in, w.now())
	}
	return nil
}

// keyFor gives the input a free place in the table.
func (w *worker) keyFor(in *input) int32 {
	if n := len(w.free); n > 0 {
		in.key = w.free[n-1]
		w.free = w.free[:n-1]
		w.inputs[in.key] = in
	} else {
		in.key = int32(len(w.inputs))
		w.inputs = append(w.inputs, in)
	}
	return in.key
}

var errLeft = errors.New("the log engine was not running")

// written says whether somebody holds the writing end, as far as the platform tells.
func (w *worker) written(in *input) bool {
	p, err := w.slot.Peek(int(in.fd), w.scratch, 1)
	// tee(2) of an empty pipe: EAGAIN if there is a writer, 0 if not
	return err != nil || len(p) > 0
}

// revive has an input watched again whose writers had all gone.
func (w *worker) revive(in *input) error {
	if !in.ended {
		return nil
	}
	in.ended = false
	return w.poll.Arm(int(in.fd), in.key)
}

// drain carries what is in the stream's FIFOs now, and no more: a descendant may go on printing for
// ever.
func (w *worker) drain(s *Stream) error {
	var errs []error
	for _, in := range s.inputs() {
		errs = append(errs, w.drainInput(in))
	}
	return errors.Join(errs...)
}

func (w *worker) drainInput(in *input) error {
	fill, err := sys.PipeFill(int(in.fd))
	if err != nil {
		return err
	}
	for {
		n, err := w.pump(in, min(fill, turn), true)
		fill -= n
		if err != nil || n == 0 || fill <= 0 {
			if err != nil && in.place < 0 {
				w.schedule(in, w.now()+int64(in.s.cfg.MaxWait))
			}
			return err
		}
	}
}

// reconfigure makes new settings hold.
func (w *worker) reconfigure(s *Stream, cfg *Config) error {
	if cfg.Apart() && s.err == nil {
		in := new(input)
		if err := s.openInput(in, line.Err); err != nil {
			return err
		}
		if err := w.attachInput(in); err != nil {
			return errors.Join(err, w.detachInput(in))
		}
		s.err = in
	}
	// What has been printed so far goes where the old settings say. If it cannot, it is
	// stuck and goes where the new ones do; Stats says why.
	if err := w.e.exchange(s, cfg, func() { w.drain(s) }); err != nil {
		return err
	}
	err := w.closeFiles(s)
	w.e.upkeep.ignore(s.cfg.Path)
	w.e.upkeep.ignore(s.cfg.ErrPath)
	s.cfg = cfg
	s.setUp()
	s.tend()
	return err
}

// detach ends the carrying of a stream.
func (w *worker) detach(s *Stream) error {
	errs := []error{w.drain(s)}
	for _, in := range s.inputs() {
		errs = append(errs, w.detachInput(in))
	}
	errs = append(errs, w.closeFiles(s))
	s.closed = true
	w.e.upkeep.ignore(s.cfg.Path)
	w.e.upkeep.ignore(s.cfg.ErrPath)
	w.e.forget(s)
	return errors.Join(errs...)
}

func (w *worker) detachInput(in *input) error {
	if in.place >= 0 {
		heap.Remove(&w.queue, int(in.place))
	}
	w.grown = slices.DeleteFunc(w.grown, func(g *input) bool { return g == in })
	var err error
	if in.key >= 0 {
		w.inputs[in.key] = nil
		w.free = append(w.free, in.key)
		err = w.poll.Remove(int(in.fd))
	}
	err = errors.Join(err, sys.CloseFD(int(in.fd)))
	if in.stuck != nil {
		err = errors.Join(err, in.stuck.Close()) // its file stays for the next engine
		in.stuck = nil
	}
	return err
}

// stop ends the worker: all streams are drained and detached.
func (w *worker) stop() {
	w.mu.Lock()
	w.stopped = true
	rest := w.posted
	w.posted = nil
	w.mu.Unlock()
	for _, f := range rest { // somebody waits for each
		f()
	}
	for _, in := range w.inputs {
		if in == nil {
			continue
		}
		if err := w.detach(in.s); err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("log of %s: %w", in.s.id, err))
		}
	}
	w.done = true
	w.release()
}

// fileOf returns the sink's log file, open, with its state as it is now.
func (w *worker) fileOf(k *sink) (*logFile, error) {
	now := w.now()
	if f := k.file; f != nil {
		if err := f.refresh(); err != nil {
			return nil, err
		}
		if f.st.Size == 0 { // truncated by somebody
			k.end = k.end.Start()
		}
		if !f.displaced(k.path, now) {
			f.used = now
			return f, nil
		}
		if err := w.closeFile(k); err != nil {
			return nil, err
		}
	}
	if len(w.open) >= w.most {
		w.closeOldest()
	}
	f, err := openLog(k.path, k.s.cfg)
	for len(w.open) > 0 && (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) {
		w.closeOldest()
		f, err = openLog(k.path, k.s.cfg)
	}
	if err != nil {
		return nil, err
	}
	if k.end, err = f.state(k.s.cfg.Format, k.end); err != nil {
		return nil, errors.Join(err, f.f.Close())
	}
	f.used, f.checked = now, now
	k.file = f
	w.open = append(w.open, k)
	return f, nil
}

// closeOldest closes the log file that was used least recently.
func (w *worker) closeOldest() {
	oldest := slices.MinFunc(w.open,
		func(a, b *sink) int { return cmp.Compare(a.file.used, b.file.used) })
	if err := w.closeFile(oldest); err != nil {
		w.e.trouble(oldest.s.id, err)
	}
}

// closeFile closes the sink's log file, if it is open.
func (w *worker) closeFile(k *sink) error {
	if k.file == nil {
		return nil
	}
	w.open = slices.DeleteFunc(w.open, func(o *sink) bool { return o == k })
	err := k.file.f.Close()
	k.file = nil
	return err
}

// closeFiles closes all of the stream's log files.
func (w *worker) closeFiles(s *Stream) error {
	err := w.closeFile(&s.file)
	if s.errFile != nil {
		err = errors.Join(err, w.closeFile(s.errFile))
	}
	return err
}

// rotated puts the sink's file aside and says whether that worked. If it did not, the output goes
// on into the old file.
func (w *worker) rotated(k *sink) bool {
	if w.now() < k.rotateAfter {
		return false
	}
	err := k.putAside()
	if err == nil {
		err = w.closeFile(k)
	}
	if err != nil {
		k.rotateAfter = w.now() + rotateRetry
		if text := err.Error(); text != k.rotateError { // once, not every second
			k.rotateError = text
			w.e.trouble(k.s.id, err)
		}
		return false
	}
	k.rotateError = ""
	w.e.upkeep.tend(k.s.id, k.path, k.s.cfg.Rotate)
	return true
}
