package line

import (
	"encoding/json"
	"time"
)

// Record is one line of a log file, read back.
type Record struct {
	Time   time.Time // zero if the file does not say
	Stream Stream
	Marked bool   // the file says which stream
	Text   []byte // the line without its newline
	More   bool   // the next record of this stream is the rest of the line
	Rest   bool   // it is the rest of the stream's last record
}

// Guess returns the format in which the line l, one of a log file's, was written, so far as it can
// be seen.
func Guess(l []byte) Format {
	if len(l) > 0 && l[0] == '{' {
		if r, ok := parseJSON(l); ok {
			return Format{JSON: true, Mark: r.Marked}
		}
	}
	var f Format
	if _, n := ParseStamp(l); n > 0 {
		f.Stamp = UTC
		if l[n-2] != 'Z' {
			f.Stamp = Local
		}
		l = l[n:]
		if _, _, n := parseMark(l); n > 0 {
			f.Mark = true
		}
	}
	return f
}

// Parse reads the line l, without its newline, as f has written it. What does not look like f is
// returned as it is.
func (f Format) Parse(l []byte) Record {
	if f.JSON {
		if r, ok := parseJSON(l); ok {
			return r
		}
		return Record{Text: l}
	}
	r := Record{Text: l}
	if f.Stamp != NoStamp {
		t, n := ParseStamp(l)
		if n == 0 {
			return r
		}
		r.Time, r.Text = t, l[n:]
	}
	if f.Mark {
		if s, rest, n := parseMark(r.Text); n > 0 {
			r.Stream, r.Marked, r.Rest, r.Text = s, true, rest, r.Text[n:]
		}
	}
	return r
}

// ParseStamp reads the time stamp at the start of l and returns how many bytes it takes with the
// space behind it, 0 if there is none.
func ParseStamp(l []byte) (time.Time, int) {
	form, n := utcForm, len(utcForm)
	if len(l) <= n {
		return time.Time{}, 0
	}
	if l[n-1] != 'Z' {
		form, n = localForm, len(localForm)
	}
	if len(l) <= n || l[n] != ' ' || l[0] < '0' || l[0] > '9' {
		return time.Time{}, 0
	}
	t, err := time.Parse(form, string(l[:n]))
	if err != nil {
		return time.Time{}, 0
	}
	return t, n + 1
}

func parseMark(l []byte) (s Stream, rest bool, n int) {
	if len(l) < 4 {
		return 0, false, 0
	}
	s, ok := StreamNamed(string(l[:3]))
	if !ok {
		return 0, false, 0
	}
	if l[3] == ' ' {
		return s, false, 4
	}
	if len(l) > 4 && l[3] == '+' && l[4] == ' ' {
		return s, true, 5
	}
	return 0, false, 0
}

func parseJSON(l []byte) (Record, bool) {
	var j struct {
		Time    time.Time `json:"time"`
		Stream  string    `json:"stream"`
		Line    *string   `json:"line"`
		Bytes   []byte    `json:"bytes"`
		Partial bool      `json:"partial"`
	}
	if err := json.Unmarshal(l, &j); err != nil || j.Time.IsZero() ||
		j.Line == nil && j.Bytes == nil {
		return Record{}, false
	}
	r := Record{Time: j.Time, Text: j.Bytes, More: j.Partial}
	if j.Line != nil {
		r.Text = []byte(*j.Line)
	}
	if j.Stream == "" {
		return r, true
	}
	r.Stream, r.Marked = StreamNamed(j.Stream)
	return r, r.Marked
}
