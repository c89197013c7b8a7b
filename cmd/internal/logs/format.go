package logs

import (
	"bytes"
	"math"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
)

// batch is output on its way through masks, limit and format.
type batch struct {
	in   *input
	src  []byte // as the service wrote it
	when time.Time
	end  line.State // of the file that dst is to be appended to
	dst  []byte     // formatted; its capacity bounds what is
	most int        // and so does this
	one  bool       // take one piece and ignore most
}

// batchOf is what src, a part of what is in the slot, becomes in a file with that end.
func batchOf(in *input, slot *stage.Slot, src []byte, end line.State) batch {
	return batch{in: in, src: src, when: time.Unix(0, slot.When()), end: end,
		dst: slot.Out()[:0], most: math.MaxInt}
}

// format formats as much of b.src as there is room for and returns how much it took: 0 if not even
// the first piece fits into most. Each piece goes to the stream's targets as it is taken.
func (b *batch) format() int {
	s := b.in.s
	cfg := s.cfg
	if b.in.cut {
		b.in.cut = false
		if !cfg.Format.Raw() {
			b.end = b.end.Ended(b.in.which)
		}
	}
	w := cfg.Format.Writer(b.in.which, b.when)
	took := 0
	for took < len(b.src) {
		p, end := b.piece(took)
		n := len(p)
		if end {
			n++
		}
		p = mask(p, cfg.Mask)
		if len(b.dst)+b.worst(len(p)) > cap(b.dst) {
			break
		}
		dst, then := w.Append(b.dst, p, end, b.end)
		if len(dst) > b.most && !b.one {
			break
		}
		took += n
		if s.limit == nil || s.limit.admit(b.in.which, n, end, b.when) {
			b.dst, b.end = dst, then
			s.tell(b.in.which, p, end, b.when)
		} else {
			s.stats.Suppressed += int64(n)
		}
		if b.one {
			break
		}
	}
	return took
}

// piece returns the next line, or as much of it as is taken at once, without its newline.
func (b *batch) piece(from int) (p []byte, end bool) {
	p = b.src[from:]
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		p, end = p[:i], true
	}
	if len(p) > line.PieceMax && (b.in.s.cfg.Format.JSON || len(b.in.s.cfg.Mask) > 0) {
		return p[:line.Cut(p[:line.PieceMax])], false
	}
	return p, end
}

// worst is how long a piece of n bytes can become.
func (b *batch) worst(n int) int {
	if b.in.s.cfg.Format.JSON {
		return n*6 + 256
	}
	return n + line.Overhead
}

// tell hands a piece of a line to the stream's targets.
func (s *Stream) tell(which line.Stream, p []byte, end bool, when time.Time) {
	for _, o := range s.outlets {
		o.put(when.UnixNano(), which, p, !end, s.cfg.Block)
	}
}
