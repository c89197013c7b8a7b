// Package query finds lines in log files, current, rotated and compressed, and follows them as they
// grow.
//
// Where lines carry time stamps, a point in time is found by binary search over the names of
// rotated files and then over the bytes of one. A raw log has no times but those of its files:
// --since takes it from the first file that was written later, and in a merge with others its lines
// count as late as their file.
package query

import (
	"cmp"
	"context"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

// Log names one log: a file and its rotated predecessors.
type Log struct {
	Service string
	Path    string
	// how the lines are written; what does not look like it is taken as it is
	Format line.Format
	// for formats that do not say: where the lines come from
	Stream line.Stream
	// standard output and error have a file each, so the file says which a line is of
	Apart bool
}

// Query says which lines are wanted. The zero value is all there are.
type Query struct {
	Since, Until time.Time // zero: no bound
	Last         int       // only so many of each service's last that match; 0: all
	Grep         *regexp.Regexp
	Streams      []line.Stream // empty: all

	// Follow goes on with what is written afterwards, until the context ends.
	Follow bool
}

// Record is one line, or a piece of one that is longer than 256 KiB, of one service.
type Record struct {
	Service string
	Dated   bool // Time is what the log says of this line, not of its file or of a line before it
	line.Record
}

// Run calls emit for every line that matches, the services' lines merged by time, each service's in
// their order. The bytes of Text are emit's only during the call. An error of emit ends it. When
// following, an unfinished line is given when it is finished or its file is put aside, and the end
// of the context is no error.
func Run(ctx context.Context, logs []Log, q Query, emit func(Record) error) error {
	if q.Follow {
		return follow(ctx, logs, q, emit)
	}
	chains, err := openChains(logs, q)
	defer closeChains(chains)
	if err != nil {
		return err
	}
	if q.Last > 0 {
		return emitLast(ctx, chains, q, emit)
	}
	return merge(ctx, chains, emit)
}

// source gives records in order, io.EOF at the end.
type source interface {
	next() (Record, error)
}

// merge emits the records of all chains by time.
func merge[S source](ctx context.Context, sources []S, emit func(Record) error) error {
	type head struct {
		r   Record
		src S
	}
	var heads []head
	pull := func(s S) error {
		r, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		i, _ := slices.BinarySearchFunc(heads, r, func(h head, r Record) int {
			return cmp.Or(h.r.Time.Compare(r.Time), -1) // behind its equals
		})
		heads = slices.Insert(heads, i, head{r, s})
		return nil
	}
	for _, s := range sources {
		if err := pull(s); err != nil {
			return err
		}
	}
	for len(heads) > 0 {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		h := heads[0]
		if err := emit(h.r); err != nil {
			return err
		}
		heads = slices.Delete(heads, 0, 1)
		if err := pull(h.src); err != nil {
			return err
		}
	}
	return nil
}

// matches says whether the query wants the record.
func (q *Query) matches(r *line.Record) bool {
	if !q.Since.IsZero() && !r.Time.IsZero() && r.Time.Before(q.Since) {
		return false
	}
	if !q.Until.IsZero() && !r.Time.IsZero() && r.Time.After(q.Until) {
		return false
	}
	if len(q.Streams) > 0 && !slices.Contains(q.Streams, r.Stream) {
		return false
	}
	return q.Grep == nil || q.Grep.Match(r.Text)
}

// emitLast emits the last q.Last records of each service, which may have several chains.
func emitLast(ctx context.Context, chains []*chain, q Query, emit func(Record) error) error {
	var lists []*list
	skip := make(map[string]int)
	for _, c := range chains {
		records, err := c.last(q.Last)
		if err != nil {
			return err
		}
		skip[c.log.Service] += len(records)
		lists = append(lists, &list{records})
	}
	return merge(ctx, lists, func(r Record) error {
		if skip[r.Service]--; skip[r.Service] >= q.Last {
			return nil
		}
		return emit(r)
	})
}

// list is a source made of records in memory.
type list struct{ records []Record }

func (l *list) next() (Record, error) {
	if len(l.records) == 0 {
		return Record{}, io.EOF
	}
	r := l.records[0]
	l.records = l.records[1:]
	return r, nil
}
