package query

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

// pieceMax is the longest piece of a line that is looked at as a whole.
const pieceMax = 256 << 10

// segment is one file of a log, open.
type segment struct {
	log     Log
	f       *os.File
	seek    bool  // it can be read from anywhere: it is not compressed
	limit   int64 // its length when it was opened, or where the wanted part of it ends
	r       *bufio.Reader
	unpack  io.Closer // nil or the decoder
	written time.Time // of the last write
	at      int64     // offset of what r gives next, if seek

	inLine bool      // the last piece was not the end of its line
	prev   time.Time // of the last line that had one
	stream line.Stream
	dated  bool // that line had a time of its own
}

// openSegment opens a file of the log. A rotated file may have been compressed since its name was
// read.
func openSegment(l Log, r layout.Rotated) (*segment, error) {
	names := []layout.Rotated{r}
	if r.Compression == layout.None && r.Path != l.Path {
		for _, c := range []layout.Compression{layout.Gzip, layout.Zstd} {
			names = append(names, layout.Rotated{Path: r.Path + c.Ext(), Compression: c})
		}
	}
	for _, n := range names {
		f, err := layout.Open(n.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := newSegment(l, f, n.Compression)
		if err != nil {
			f.Close()
		}
		return s, err
	}
	return nil, os.ErrNotExist
}

func newSegment(l Log, f *os.File, c layout.Compression) (*segment, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &segment{log: l, f: f, written: fi.ModTime(), stream: l.Stream}
	switch c {
	case layout.None:
		s.seek = true
		s.limit = fi.Size()
		s.r = bufio.NewReaderSize(f, pieceMax)
	case layout.Gzip:
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		s.r, s.unpack = bufio.NewReaderSize(z, pieceMax), z
	case layout.Zstd:
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil, err
		}
		s.r, s.unpack = bufio.NewReaderSize(z, pieceMax), z.IOReadCloser()
	}
	return s, nil
}

func (s *segment) close() error {
	var err error
	if s.unpack != nil {
		err = s.unpack.Close()
	}
	return errors.Join(err, s.f.Close())
}

// from makes the next piece begin at the offset, the beginning of a line.
func (s *segment) from(offset int64) error {
	if _, err := s.f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	s.r.Reset(s.f)
	s.at, s.inLine = offset, false
	return nil
}

// done says that what comes next was not there when the segment was opened, or is not wanted.
func (s *segment) done() bool { return s.seek && s.at >= s.limit }

// next returns the next piece of a line. An unfinished line at the end of the file is returned too
// if partial is set; otherwise it is io.EOF, and a later call sees the whole line.
func (s *segment) next(partial bool) (Record, error) {
	p, err := s.r.ReadSlice('\n')
	if err == io.EOF && len(p) == 0 {
		return Record{}, io.EOF
	}
	if err == io.EOF && !partial {
		if serr := s.from(s.at); serr != nil {
			return Record{}, serr
		}
		return Record{}, io.EOF
	}
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return Record{}, err
	}
	s.at += int64(len(p))
	return s.record(p), nil
}

// record makes sense of a piece as it was read.
func (s *segment) record(p []byte) Record {
	p, end := bytes.CutSuffix(p, []byte{'\n'})
	r := Record{Service: s.log.Service}
	if s.inLine {
		r.Record, r.Dated = line.Record{Text: p, Time: s.prev, Stream: s.stream, Rest: true},
			s.dated
	} else {
		r.Record = s.log.Format.Parse(p)
		r.Dated = !r.Time.IsZero()
		if !r.Marked {
			r.Stream = s.log.Stream
		}
		if r.Time.IsZero() && s.log.Format.Stamp == line.NoStamp {
			// A service may stamp its lines itself.
			r.Time, _ = line.ParseStamp(p)
		}
		if r.Time.IsZero() {
			r.Time = s.prev
		}
		if r.Time.IsZero() && !s.stamped() {
			r.Time = s.written
		}
	}
	r.More = r.More || !end
	s.inLine, s.prev, s.stream, s.dated = !end, r.Time, r.Stream, r.Dated
	return r
}

func (s *segment) stamped() bool { return s.log.Format.JSON || s.log.Format.Stamp != line.NoStamp }

// search moves to the first line that is not before t, where lines have stamps and the file can be
// read from anywhere. A clock that was set back within the file can mislead it by as much.
func (s *segment) search(t time.Time) error {
	if !s.seek || !s.stamped() {
		return nil
	}
	at, _, err := s.bisect(func(when time.Time) bool { return when.Before(t) })
	if err != nil {
		return err
	}
	return s.from(at) // what is before t in the rest is left out by the filter
}

// beginsAfter says whether the segment's first line with a time, or where lines have none the file,
// is later than t.
func (s *segment) beginsAfter(t time.Time) (bool, error) {
	for {
		r, err := s.next(true)
		switch {
		case err == io.EOF:
			return false, s.rewind()
		case err != nil:
			return false, err
		case r.Dated || !s.stamped():
			return r.Time.After(t), s.rewind()
		}
	}
}

// rewind makes a segment that can be read from anywhere begin again.
func (s *segment) rewind() error {
	s.prev = time.Time{}
	if !s.seek {
		return nil
	}
	return s.from(0)
}

// end takes what comes after t off the segment, under the conditions of search, so that its last
// lines are found from there.
func (s *segment) end(t time.Time) error {
	if !s.seek || !s.stamped() {
		return nil
	}
	_, after, err := s.bisect(func(when time.Time) bool { return !when.After(t) })
	if err != nil {
		return err
	}
	s.limit = after
	return s.from(0)
}

// bisect narrows down where lines stop being early: all that begin before lo are, and none that
// begins at hi or later. Both are where lines begin, unless hi is the segment's end.
func (s *segment) bisect(early func(time.Time) bool) (lo, hi int64, err error) {
	hi = s.limit
	most := hi // no line with a stamp begins between it and hi
	for most-lo > pieceMax {
		mid := lo + (most-lo)/2
		at, when, err := s.stampAfter(mid, hi)
		switch {
		case err != nil:
			return lo, hi, err
		case at < 0:
			most = mid
		case early(when):
			lo = at
		default:
			hi, most = at, mid
		}
	}
	return lo, hi, nil
}

// stampAfter finds the first line with a time stamp that begins after offset and before end; at is
// -1 if there is none.
func (s *segment) stampAfter(offset, end int64) (at int64, when time.Time, err error) {
	if err := s.from(offset); err != nil {
		return -1, when, err
	}
	s.inLine = true // up to the first newline it is somebody else's line
	for s.at < end {
		p, err := s.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				return -1, when, nil
			}
			return -1, when, err
		}
		at, inside := s.at, s.inLine
		s.at += int64(len(p))
		s.inLine = err == bufio.ErrBufferFull
		if inside || at >= end {
			continue
		}
		if r := s.log.Format.Parse(bytes.TrimSuffix(p, []byte{'\n'})); !r.Time.IsZero() {
			return at, r.Time, nil
		}
	}
	return -1, when, nil
}

// back returns the offset at which the last n lines before the offset end begin; an unfinished last
// line counts.
func (s *segment) back(end int64, n int) (int64, error) {
	buf := make([]byte, 64<<10)
	at := end
	first := true
	for at > 0 {
		m := min(int64(len(buf)), at)
		at -= m
		if _, err := s.f.ReadAt(buf[:m], at); err != nil && err != io.EOF {
			return 0, err
		}
		p := buf[:m]
		if first {
			p = bytes.TrimSuffix(p, []byte{'\n'}) // it ends the last line
			first = false
		}
		for {
			i := bytes.LastIndexByte(p, '\n')
			if i < 0 {
				break
			}
			if n--; n == 0 {
				return at + int64(i) + 1, nil
			}
			p = p[:i]
		}
	}
	return 0, nil
}
