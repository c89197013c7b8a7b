package query

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
)

// chain is all files of one log in order, as they were at one moment: a source of the records that
// match a query.
type chain struct {
	log Log
	q   Query
	// not read yet
	files []layout.Rotated
	// the file that had the log's own name, read after them; nil: there was none
	current *segment
	// being read
	seg   *segment
	begun bool
}

func openChains(logs []Log, q Query) ([]*chain, error) {
	var chains []*chain
	for _, l := range logs {
		c, err := openChain(l, q)
		if err != nil {
			return chains, err
		}
		chains = append(chains, c)
	}
	return chains, nil
}

func closeChains(chains []*chain) {
	for _, c := range chains {
		c.close()
	}
}

// openChain takes stock of the log's files, without those that end before q.Since.
func openChain(l Log, q Query) (*chain, error) {
	c := &chain{log: l, q: q}
	before, err := layout.List(l.Path)
	// A rotation between listing and opening would hide a file: two equal lists around the opening
	// say that there was none. A log that is rotated faster than that loses lines to Keep anyway.
	for try := 0; try < 10 && err == nil; try++ {
		c.current, err = openSegment(l, layout.Rotated{Path: l.Path})
		if errors.Is(err, fs.ErrNotExist) {
			c.current, err = nil, nil
		}
		if err != nil {
			break
		}
		if c.files, err = layout.List(l.Path); err != nil || sameFiles(before, c.files) {
			break
		}
		before = c.files
		if c.current != nil && try < 9 {
			c.current.close()
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	for !q.Since.IsZero() && len(c.files) > 0 && c.files[0].Time.Before(q.Since) {
		c.files = c.files[1:] // every line in it is at most as late as its name
	}
	if err := c.cutLate(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// cutLate takes off what was written after q.Until.
func (c *chain) cutLate() error {
	if c.q.Until.IsZero() {
		return nil
	}
	i := slices.IndexFunc(c.files, func(r layout.Rotated) bool { return r.Time.After(c.q.Until) })
	if i < 0 {
		i = len(c.files)
	}
	// That file was put aside later than that. So were those after it, and yet they may hold lines
	// from before: a line's time is that of its reading, and what was read at once can go to
	// several files.
	for i++; i < len(c.files); i++ {
		s, err := openSegment(c.log, c.files[i])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		late, err := s.beginsAfter(c.q.Until)
		if err = errors.Join(err, s.close()); err != nil {
			return err
		}
		if late {
			c.files = c.files[:i]
			break
		}
	}
	s := c.current
	if s == nil {
		return nil
	}
	if late, err := s.beginsAfter(c.q.Until); err != nil || late {
		c.current = nil
		return errors.Join(err, s.close())
	}
	return s.end(c.q.Until)
}

// sameFiles ignores what is compressed and what was removed at the old end.
func sameFiles(a, b []layout.Rotated) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(b) == 0
	}
	return a[len(a)-1].Time.Equal(b[len(b)-1].Time)
}

func (c *chain) close() {
	for _, s := range []*segment{c.seg, c.current} {
		if s != nil {
			s.close()
		}
	}
	c.seg, c.current = nil, nil
}

func (c *chain) next() (Record, error) {
	for {
		if c.seg == nil {
			if err := c.open(); err != nil {
				return Record{}, err
			}
		}
		var r Record
		err := io.EOF
		if !c.seg.done() {
			r, err = c.seg.next(true)
		}
		if err == io.EOF {
			c.seg.close()
			c.seg = nil
			continue
		}
		if err != nil {
			return Record{}, err
		}
		if c.q.matches(&r.Record) {
			return r, nil
		}
	}
}

// open begins the next file; io.EOF after the last.
func (c *chain) open() error {
	for {
		s, err := c.advance()
		if err != nil {
			return err
		}
		c.seg = s
		if c.q.Since.IsZero() || c.begun {
			return nil
		}
		if s.seek && !s.stamped() && s.written.Before(c.q.Since) {
			s.close()
			c.seg = nil
			continue
		}
		c.begun = true
		return s.search(c.q.Since)
	}
}

func (c *chain) advance() (*segment, error) {
	for len(c.files) > 0 {
		f := c.files[0]
		c.files = c.files[1:]
		// removed by age or number meanwhile
		if s, err := openSegment(c.log, f); !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
	if s := c.current; s != nil {
		c.current = nil
		return s, nil
	}
	return nil, io.EOF
}

// last returns the last n records that match, in order, reading from the end. The current file
// stays open.
func (c *chain) last(n int) ([]Record, error) {
	var records []Record
	if c.current != nil {
		var err error
		if records, err = c.current.last(c.q, n); err != nil {
			return nil, err
		}
	}
	for _, f := range slices.Backward(c.files) {
		if len(records) >= n {
			break
		}
		s, err := openSegment(c.log, f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		older, err := s.last(c.q, n-len(records))
		s.close()
		if err != nil {
			return nil, err
		}
		records = append(older, records...)
	}
	return records, nil
}

// last returns the last n matching records of the segment as it was when it was opened.
func (s *segment) last(q Query, n int) ([]Record, error) {
	if !s.seek {
		return s.collect(q, n)
	}
	// If few lines match, look at ever more of them.
	for lines := n; ; lines *= 8 {
		from, err := s.back(s.limit, lines)
		if err != nil {
			return nil, err
		}
		if err := s.from(from); err != nil {
			return nil, err
		}
		records, err := s.collect(q, n)
		if err != nil || len(records) == n || from == 0 {
			return records, err
		}
	}
}

// collect reads to the end and returns the last n matching records, copied.
func (s *segment) collect(q Query, n int) ([]Record, error) {
	var ring []Record
	oldest := 0
	for !s.done() {
		r, err := s.next(true)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if !q.matches(&r.Record) {
			continue
		}
		r.Text = bytes.Clone(r.Text)
		if len(ring) < n {
			ring = append(ring, r)
			continue
		}
		ring[oldest] = r
		oldest = (oldest + 1) % n
	}
	return append(ring[oldest:len(ring):len(ring)], ring[:oldest]...), nil
}
