package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// pump carries up to about limit bytes of what waits in the input. The error says why the
// log cannot be written; what was taken out of the FIFO is kept then.
func (w *worker) pump(in *input, limit int) (int, error) {
	if in.s.stuck != nil {
		if err := w.retry(in.s); err != nil {
			w.shed(in)
			return 0, err
		}
	}
	total := 0
	for total < limit {
		n, more, err := w.carry(in)
		total += n
		if err != nil || !more {
			return total, err
		}
	}
	return total, nil
}

// carry takes one slot full out of the FIFO and writes it. more says that there was more than that.
func (w *worker) carry(in *input) (n int, more bool, err error) {
	s := in.s
	fill, err := sys.PipeFill(int(in.fd))
	if err != nil || fill == 0 {
		return 0, false, err
	}
	n = min(fill, stage.InSize)
	if _, err := w.slot.Peek(int(in.fd), w.scratch, 1); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return 0, false, gone(err)
	}
	n, err = w.slot.Fetch(s.id, 0, time.Now().UnixNano(), int(in.fd), n)
	if err != nil {
		return 0, false, gone(err)
	}
	s.stats.Bytes += int64(n)
	for _, t := range s.taps {
		t.put(w.slot.Rest())
	}
	if err := w.settle(s, w.slot); err != nil {
		w.keep(s, err)
		return n, false, err
	}
	return n, fill > n, nil
}

// gone turns EAGAIN into nothing: a service that reads its own standard output was faster.
func gone(err error) error {
	if errors.Is(err, syscall.EAGAIN) {
		return nil
	}
	return err
}

// settle writes everything in the slot to the stream's file.
func (w *worker) settle(s *Stream, slot *stage.Slot) error {
	for {
		if slot.Phase() == stage.Writing {
			if err := w.resume(s, slot); err != nil {
				return err
			}
			slot.Done()
		}
		rest := slot.Rest()
		if len(rest) == 0 {
			return nil
		}
		if s.cfg.Path == "" {
			slot.Begin(len(rest), stage.Same, sys.FileState{})
			slot.Done()
			return nil
		}
		if err := w.writePiece(s, slot, rest); err != nil {
			return err
		}
	}
}

// writePiece appends as much of rest as the current file takes, rotating before if it takes nothing.
func (w *worker) writePiece(s *Stream, slot *stage.Slot, rest []byte) error {
	f, err := w.fileOf(s)
	if err != nil {
		return err
	}
	n := fit(rest, f.st.Size, s.cfg.Rotate.Size, f.midLine)
	if n == 0 || f.old(s.cfg) {
		if err := w.rotate(s); err != nil {
			// Too long a file is better than a lost line.
			w.e.trouble(s.id, err)
			n = len(rest)
		} else {
			return nil // settle comes again, with a new file
		}
	}
	slot.Begin(n, stage.Same, f.st)
	if err := f.append(rest[:n]); err != nil {
		return err
	}
	slot.Done()
	return nil
}

// resume appends what is missing of a piece that was announced before, perhaps by an earlier process.
func (w *worker) resume(s *Stream, slot *stage.Slot) error {
	if s.cfg.Path == "" {
		return nil
	}
	f, err := w.fileOf(s)
	if err != nil {
		return err
	}
	p, at := slot.Piece()
	if f.st.Same(at) {
		return f.append(slot.Missing(f.st.Size))
	}
	old, err := findFile(filepath.Dir(s.cfg.Path), at)
	if errors.Is(err, fs.ErrNotExist) {
		// The file is gone, and what was in it of this piece too.
		slot.Move(f.st)
		return f.append(p)
	}
	if err != nil {
		return err
	}
	l := &logFile{f: old}
	defer old.Close()
	if err := l.refresh(); err != nil {
		return err
	}
	return l.append(slot.Missing(l.st.Size))
}

// findFile opens the file in dir that is the given one, for appending.
func findFile(dir string, want sys.FileState) (*os.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if st, err := sys.StatPath(path); err == nil && st.Same(want) {
			return sys.OpenAppend(path, 0, 0)
		}
	}
	return nil, fs.ErrNotExist
}

// keep puts what the worker's slot holds, and what could not be written, aside for the stream.
func (w *worker) keep(s *Stream, why error) {
	rest := w.slot.Rest()
	if w.slot.Phase() == stage.Writing {
		p, _ := w.slot.Piece()
		rest = rest[len(p):]
	}
	stuck, err := w.slot.Split(w.e.slotPath(), rest)
	if err != nil {
		w.e.trouble(s.id, fmt.Errorf("output that could not be written is held in memory only: %w", err))
	}
	s.stuck, s.why = stuck, why
	w.e.trouble(s.id, why)
}

// retry writes what is stuck and then tells what was dropped meanwhile.
func (w *worker) retry(s *Stream) error {
	err := w.settle(s, s.stuck)
	if d := s.stuck.Drop(); err == nil && d.Bytes > 0 {
		id, input := s.stuck.Owner()
		s.stuck.Inject(id, input, time.Now().UnixNano(), w.notice(s, d))
		err = w.settle(s, s.stuck)
	}
	if err != nil {
		s.why = err
		return err
	}
	err = s.stuck.Remove()
	s.stuck, s.why = nil, nil
	w.e.trouble(s.id, err)
	return nil
}

// notice is the line that tells of dropped output.
func (w *worker) notice(s *Stream, d *stage.Drop) []byte {
	const form = "2006-01-02T15:04:05.000Z"
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(form) }
	text := fmt.Sprintf("daemonry: %d lines (%d bytes) dropped from %s to %s: %v\n", d.Lines, d.Bytes, at(d.First), at(d.Last), s.why)
	if s.file != nil && s.file.midLine {
		text = "\n" + text
	}
	return []byte(text)
}

// shed makes room in the pipe of a stream that cannot be written, so that its service is not held up, and
// counts what it throws away.
func (w *worker) shed(in *input) {
	s := in.s
	fill, err := sys.PipeFill(int(in.fd))
	// A pipe may be full with little more than half its bytes: a page takes
	// another write only if all of it fits. At a third nobody waits yet.
	if s.cfg.Block || err != nil || fill < int(in.size)/3 {
		return
	}
	buf := make([]byte, min(fill, 64<<10))
	d := s.stuck.Drop()
	now := time.Now().UnixNano()
	if d.First == 0 {
		d.First = now
	}
	d.Last = now
	for fill > 0 {
		n, err := sys.ReadFD(int(in.fd), buf[:min(fill, len(buf))])
		if err != nil || n == 0 {
			return
		}
		fill -= n
		d.Bytes += int64(n)
		d.Lines += int64(bytes.Count(buf[:n], []byte{'\n'}))
		s.stats.Bytes += int64(n)
		s.stats.Dropped += int64(n)
	}
}
