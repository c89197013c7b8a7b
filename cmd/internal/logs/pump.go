package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// errTargetFull makes a stream with Config.Block wait.
var errTargetFull = errors.New("a target takes no more for now")

// pump carries up to about limit bytes of what waits in the input; all says to take an unfinished
// line too. The error says why the log cannot be written; what was taken out of the FIFO is kept
// then.
func (w *worker) pump(in *input, limit int, all bool) (int, error) {
	if in.stuck != nil {
		if all || w.now() >= in.retryAt {
			w.retry(in)
		}
		if in.why != nil {
			w.shed(in)
			return 0, in.why
		}
	}
	if err := w.tellSuppressed(in); err != nil {
		return 0, err
	}
	total := 0
	for total < limit {
		n, more, err := w.carry(in, all)
		total += n
		if err != nil || !more {
			return total, err
		}
	}
	return total, nil
}

// carry takes up to one slot full out of the FIFO and writes it. more says that there was more than
// that.
func (w *worker) carry(in *input, all bool) (n int, more bool, err error) {
	s := in.s
	fill, err := sys.PipeFill(int(in.fd))
	if err != nil || fill == 0 {
		in.held = 0
		return 0, false, err
	}
	if s.cfg.Block {
		for _, o := range s.outlets {
			if o.full() {
				return 0, false, errTargetFull
			}
		}
	}
	n, err = w.choose(in, min(fill, stage.InSize), all)
	if err != nil || n == 0 {
		return 0, false, err
	}
	n, err = w.slot.Fetch(s.id, int(in.which), time.Now().UnixNano(), int(in.fd), n)
	if err != nil {
		return 0, false, unlessTaken(err)
	}
	s.stats.Bytes += int64(n)
	s.stats.Reads++
	if err := w.settle(in, w.slot); err != nil {
		w.keep(in, err)
		return n, false, err
	}
	return n, fill > stage.InSize, nil // what is held is in view and cannot go on
}

// A beginning of a line is left in the pipe for so long, in nanoseconds, before it is taken
// unfinished.
const holdMax = int64(200 * time.Millisecond)

// choose peeks into the pipe, in which fill bytes wait, and says how many to take: all, or where
// lines matter, only whole ones, so that none is cut or seen by halves. The rest costs no memory of
// ours where it is.
func (w *worker) choose(in *input, fill int, all bool) (int, error) {
	lined := in.s.cfg.lined()
	look := 1
	if lined {
		look = fill
		w.scratch.Grow(largePipe)
	}
	p, err := w.slot.Peek(int(in.fd), w.scratch, look)
	if errors.Is(err, errors.ErrUnsupported) {
		return fill, nil
	}
	if err != nil || len(p) == 0 {
		return 0, unlessTaken(err)
	}
	if !lined {
		return fill, nil
	}
	end := bytes.LastIndexByte(p, '\n') + 1
	now := w.now()
	switch {
	case end == len(p):
		in.held = 0
		return end, nil
	case end > 0 && !all:
		in.held = now
		return end, nil
	case len(p) == stage.InSize, len(p) < look: // no more of it can be seen
		in.held = 0
		return line.Cut(p), nil
	case all, in.held != 0 && now-in.held >= holdMax:
		in.held = 0
		return len(p), nil
	case in.held == 0:
		in.held = now
	}
	return 0, nil
}

// unlessTaken turns EAGAIN into nothing: a service that reads its own standard output was faster.
func unlessTaken(err error) error {
	if errors.Is(err, syscall.EAGAIN) {
		return nil
	}
	return err
}

// settle writes everything in the slot to the input's file.
func (w *worker) settle(in *input, slot *stage.Slot) error {
	for {
		if slot.Phase() == stage.Writing {
			if err := w.resume(in, slot); err != nil {
				return err
			}
			slot.Done()
		}
		rest := slot.Rest()
		if len(rest) == 0 {
			return nil
		}
		k := in.s.sinkOf(in)
		var err error
		switch raw := slot.Formatted() || !in.s.cfg.lined(); {
		case k.path == "" && raw:
			slot.Begin(len(rest), stage.Same, sys.FileState{})
			slot.Done()
		case k.path == "":
			b := batchOf(in, slot, rest, line.State{})
			slot.Begin(b.format(), 0, sys.FileState{})
			slot.Done()
		case raw:
			err = w.writeRaw(in, slot, rest)
		default:
			err = w.writeFormatted(in, slot, rest)
		}
		if err != nil {
			return err
		}
	}
}

// writeRaw appends as much of rest as the current file takes, or rotates if it takes nothing.
func (w *worker) writeRaw(in *input, slot *stage.Slot, rest []byte) error {
	k := in.s.sinkOf(in)
	f, err := w.fileOf(k)
	if err != nil {
		return err
	}
	n := fit(rest, f.st.Size, in.s.cfg.Rotate.Size, k.end.AtStart())
	if n == 0 || k.old() {
		if w.rotated(k) {
			return nil // settle comes again, with a new file
		}
		if n == 0 {
			n = len(rest) // too long a file is better than a lost line
		}
	}
	slot.Begin(n, stage.Same, f.st)
	if err := k.append(rest[:n], in.which); err != nil {
		return err
	}
	slot.Done()
	return nil
}

// writeFormatted is writeRaw for what is formatted on the way.
func (w *worker) writeFormatted(in *input, slot *stage.Slot, rest []byte) error {
	cfg := in.s.cfg
	k := in.s.sinkOf(in)
	f, err := w.fileOf(k)
	if err != nil {
		return err
	}
	if k.old() && w.rotated(k) {
		return nil
	}
	b := batchOf(in, slot, rest, k.end)
	if cfg.Rotate.Size > 0 {
		b.most = int(max(0, min(cfg.Rotate.Size-f.st.Size, math.MaxInt32)))
	}
	took := b.format()
	if took == 0 {
		if f.st.Size > 0 && k.end.AtStart() && w.rotated(k) {
			return nil
		}
		b.one = true
		took = b.format()
	}
	in.after = b.end
	slot.Begin(took, len(b.dst), f.st)
	if err := k.append(b.dst, in.which); err != nil {
		return err
	}
	k.end = b.end
	slot.Done()
	return nil
}

// resume appends what is missing of a piece that was announced before, perhaps by an earlier
// process.
func (w *worker) resume(in *input, slot *stage.Slot) error {
	k := in.s.sinkOf(in)
	if k.path == "" {
		return nil
	}
	f, err := w.fileOf(k)
	if err != nil {
		return err
	}
	p, at := slot.Piece()
	if f.st.Same(at) {
		return k.append(slot.Missing(f.st.Size), in.which)
	}
	old, err := findFile(filepath.Dir(k.path), at)
	if errors.Is(err, fs.ErrNotExist) {
		// The file is gone, and what was in it of this piece too.
		slot.Move(f.st)
		return k.append(p, in.which)
	}
	if err != nil {
		return err
	}
	l := &logFile{f: old}
	defer old.Close()
	if err := l.refresh(); err != nil {
		return err
	}
	_, err = l.append(slot.Missing(l.st.Size))
	return err
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
			return openAppend(path, false, 0, 0)
		}
	}
	return nil, fs.ErrNotExist
}

// keep puts what the worker's slot holds, and what could not be written, aside for the input.
func (w *worker) keep(in *input, why error) {
	rest := w.slot.Rest()
	end := in.s.sinkOf(in).end
	if w.slot.Phase() == stage.Writing {
		rest = rest[w.slot.Announced():]
		end = in.after
	}
	if in.s.cfg.lined() && !w.slot.Formatted() {
		rest = formatAll(batchOf(in, w.slot, rest, end))
	}
	stuck, err := w.slot.Split(w.e.slotPath(), rest)
	if err != nil {
		w.e.trouble(in.s.id,
			fmt.Errorf("output that could not be written is held in memory only: %w", err))
	}
	in.stuck = stuck
	w.fail(in, why)
	w.e.trouble(in.s.id, why)
}

// formatAll formats all of b.src, however long it becomes.
func formatAll(b batch) []byte {
	var all []byte
	buf := make([]byte, 0, stage.OutSize)
	for len(b.src) > 0 {
		b.dst = buf
		b.src = b.src[b.format():]
		all = append(all, b.dst...)
	}
	return all
}
