package logs

import (
	"container/heap"
	"errors"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// attach begins to carry a stream; slot, if not nil, is what an earlier engine did not finish of it.
func (w *worker) attach(s *Stream, slot *stage.Slot) {
	in := &s.in
	if n := len(w.free); n > 0 {
		in.key = w.free[n-1]
		w.free = w.free[:n-1]
		w.inputs[in.key] = in
	} else {
		in.key = int32(len(w.inputs))
		w.inputs = append(w.inputs, in)
	}
	in.size = smallPipe
	if n, err := sys.PipeSize(int(in.fd)); err == nil {
		in.size = int32(n)
	}
	s.stuck = slot
	in.ended = !w.written(in)
	if err := w.poll.Add(int(in.fd), in.key); err != nil {
		w.e.trouble(s.id, err)
	}
	if slot != nil {
		s.why = errors.New("left by an earlier engine")
		w.schedule(in, w.now())
	}
}

// written says whether somebody holds the writing end, as far as the platform tells.
func (w *worker) written(in *input) bool {
	p, err := w.slot.Peek(int(in.fd), w.scratch, 1)
	return err != nil || len(p) > 0 // tee(2) of an empty pipe: EAGAIN if there is a writer, 0 if not
}

// revive has an input watched again whose writers had all gone.
func (w *worker) revive(in *input) error {
	if !in.ended {
		return nil
	}
	in.ended = false
	return w.poll.Arm(int(in.fd), in.key)
}

// drain carries what is in the stream's FIFO now, and no more: a descendant may go on printing for ever.
func (w *worker) drain(s *Stream) error {
	in := &s.in
	fill, err := sys.PipeFill(int(in.fd))
	if err != nil {
		return err
	}
	for {
		n, err := w.pump(in, min(fill, turn))
		fill -= n
		if err != nil || n == 0 || fill <= 0 {
			if err != nil && in.place < 0 {
				w.schedule(in, w.now()+int64(s.cfg.MaxWait))
			}
			return err
		}
	}
}

// detach ends the carrying of a stream.
func (w *worker) detach(s *Stream) error {
	in := &s.in
	errs := []error{w.drain(s)}
	if in.place >= 0 {
		heap.Remove(&w.queue, int(in.place))
	}
	for i, g := range w.grown {
		if g == in {
			w.grown = append(w.grown[:i], w.grown[i+1:]...)
			break
		}
	}
	w.inputs[in.key] = nil
	w.free = append(w.free, in.key)
	errs = append(errs, w.poll.Remove(int(in.fd)), sys.CloseFD(int(in.fd)), w.closeFile(s))
	if s.stuck != nil {
		errs = append(errs, s.stuck.Close()) // its file stays for the next engine
		s.stuck = nil
	}
	for _, t := range s.taps {
		t.end()
	}
	s.closed = true
	w.e.forget(s)
	return errors.Join(errs...)
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

// fileOf returns the stream's log file, open, with its state as it is now.
func (w *worker) fileOf(s *Stream) (*logFile, error) {
	now := w.now()
	if f := s.file; f != nil {
		if err := f.refresh(); err != nil {
			return nil, err
		}
		if !f.displaced(s.cfg.Path, now) {
			f.used = now
			return f, nil
		}
		if err := w.closeFile(s); err != nil {
			return nil, err
		}
	}
	if len(w.open) >= openMax {
		oldest := w.open[0]
		for _, o := range w.open {
			if o.file.used < oldest.file.used {
				oldest = o
			}
		}
		if err := w.closeFile(oldest); err != nil {
			w.e.trouble(oldest.id, err)
		}
	}
	f, err := openLog(s.cfg)
	if err != nil {
		return nil, err
	}
	f.used, f.checked = now, now
	s.file = f
	w.open = append(w.open, s)
	return f, nil
}

// closeFile closes the stream's log file, if it is open.
func (w *worker) closeFile(s *Stream) error {
	if s.file == nil {
		return nil
	}
	for i, o := range w.open {
		if o == s {
			w.open[i] = w.open[len(w.open)-1]
			w.open = w.open[:len(w.open)-1]
			break
		}
	}
	err := s.file.f.Close()
	s.file = nil
	return err
}

// rotate puts the stream's file aside.
func (w *worker) rotate(s *Stream) error {
	if err := s.rotate(); err != nil {
		return err
	}
	return w.closeFile(s)
}

// rotateNow is rotate on request.
func (w *worker) rotateNow(s *Stream) error {
	if s.cfg.Path == "" {
		return nil
	}
	f, err := w.fileOf(s)
	if err != nil {
		return err
	}
	if f.st.Size == 0 || f.midLine {
		return nil
	}
	return w.rotate(s)
}

// old says that the file is due for rotation by its age.
func (l *logFile) old(cfg *Config) bool {
	return cfg.Rotate.Age > 0 && l.st.Size > 0 && !l.midLine && time.Since(l.born) >= cfg.Rotate.Age
}
