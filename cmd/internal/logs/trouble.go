package logs

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
	"github.com/daemonry/daemonry/internal/sys"
)

// Delays between attempts to write what is stuck: a full disk is not to be asked ten times a second
// by each of thousands of services.
const (
	attemptFirst = 100 * time.Millisecond
	attemptMax   = time.Second
)

// fail notes why the input's output cannot be written and when to try again.
func (w *worker) fail(in *input, why error) {
	in.why = why
	in.pause = min(max(2*in.pause, attemptFirst), attemptMax)
	in.retryAt = w.now() + int64(in.pause)
}

// retry writes what is stuck and then tells what was dropped meanwhile. What cannot be written
// stays stuck, and in.why says why.
func (w *worker) retry(in *input) {
	err := w.settle(in, in.stuck)
	if d := in.stuck.Drop(); err == nil && d.Bytes > 0 {
		in.stuck.Inject(in.s.id, int(in.which), time.Now().UnixNano(),
			in.s.notice(in, noticeText(d, in.why)))
		err = w.settle(in, in.stuck)
	}
	if err != nil {
		w.fail(in, err)
		return
	}
	err = in.stuck.Remove()
	in.stuck, in.why, in.pause = nil, nil, 0
	w.e.trouble(in.s.id, err)
}

const noticeTime = "2006-01-02T15:04:05.000Z"

func span(d *stage.Drop) string {
	return time.Unix(0, d.First).UTC().Format(noticeTime) + " to " +
		time.Unix(0, d.Last).UTC().Format(noticeTime)
}

// noticeText is what tells of dropped output.
func noticeText(d *stage.Drop, why error) []byte {
	if why == nil {
		why = errors.New("they came faster than they were taken")
	}
	return fmt.Appendf(nil, "daemonry: %d lines (%d bytes) dropped from %s: %v",
		d.Lines, d.Bytes, span(d), why)
}

// notice formats a line of our own for the input's file.
func (s *Stream) notice(in *input, text []byte) []byte {
	w := s.cfg.Format.Writer(line.Log, time.Now())
	b, _ := w.Append(nil, text, true, s.sinkOf(in).end)
	return b
}

// tellSuppressed says in the log how many lines the rate limit has held back, once lines pass
// again.
func (w *worker) tellSuppressed(in *input) error {
	s := in.s
	if s.limit == nil || s.limit.held.Bytes == 0 || s.limit.ready(time.Now()) > 0 {
		return nil
	}
	d := &s.limit.held
	text := fmt.Appendf(nil,
		"daemonry: %d lines (%d bytes) suppressed from %s: over %d lines in %v",
		d.Lines, d.Bytes, span(d), s.cfg.Limit.Lines, s.cfg.Limit.Per)
	now := time.Now()
	s.tell(line.Log, text, true, now)
	s.limit.held = stage.Drop{}
	w.slot.Inject(s.id, int(in.which), now.UnixNano(), s.notice(in, text))
	if err := w.settle(in, w.slot); err != nil {
		w.keep(in, err)
		return err
	}
	return nil
}

// shed makes room in the pipe of an input that cannot be written, so that its service is not held
// up, and counts what it throws away.
func (w *worker) shed(in *input) {
	s := in.s
	fill, err := sys.PipeFill(int(in.fd))
	// A pipe may be full with little more than half its bytes: a page takes
	// another write only if all of it fits. At a third nobody waits yet.
	if s.cfg.Block || err != nil || fill < int(in.size)/3 {
		return
	}
	if !in.large && w.grow(in) {
		return
	}
	buf := make([]byte, min(fill, 64<<10))
	d := in.stuck.Drop()
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
