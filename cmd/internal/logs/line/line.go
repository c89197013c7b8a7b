// Package line says how a line of output is written into a log file and how it is read back.
//
// A file's format is one of
//
//	raw      the bytes as the service wrote them
//	text     2026-11-21T02:48:30.123456Z out the line     time stamp, mark, or both
//	JSON     {"time":"2026-11-21T02:48:30.123456Z","stream":"out","line":"the line"}
//
// In text and JSON every line is as it was written, whatever its bytes and its length, except that
// a missing final newline is supplied when something else follows. A line that is cut in text,
// because output of the service's other stream came in the middle of it, goes on in a record with
// the mark "out+" ("err+"). A JSON record whose line goes on in the next one of the same stream has
// "partial":true, and one whose bytes are not valid UTF-8 has "bytes", in base64, in place of
// "line".
package line

import (
	"slices"
	"time"
)

// Stamp says whether and how lines are stamped.
type Stamp uint8

// The kinds of time stamps: RFC 3339 with microseconds.
const (
	NoStamp Stamp = iota
	UTC
	Local
)

// Stream is where a line came from.
type Stream uint8

// The streams. Out is standard output, or both where they are joined; Log is what the log engine
// itself has to say.
const (
	Out Stream = iota
	Err
	Log
)

var streams = [...]string{Out: "out", Err: "err", Log: "log"}

func (s Stream) String() string { return streams[s] }

// StreamNamed is the stream whose name is text, if there is one.
func StreamNamed(text string) (Stream, bool) {
	i := slices.Index(streams[:], text)
	return Stream(max(0, i)), i >= 0
}

// Format is how lines are written. The zero value is raw.
type Format struct {
	Stamp Stamp
	Mark  bool // name the stream
	JSON  bool
}

// Raw says that the bytes are written as they come.
func (f Format) Raw() bool { return f == Format{} }

const (
	utcForm   = "2006-01-02T15:04:05.000000Z"
	localForm = "2006-01-02T15:04:05.000000-07:00"
)

func (f Format) stamp(dst []byte, t time.Time) []byte {
	if f.Stamp == Local {
		return t.Local().AppendFormat(dst, localForm)
	}
	return t.UTC().AppendFormat(dst, utcForm)
}

// State is what the end of a file is in the middle of. The zero value is the start of a line.
type State struct {
	open uint8 // one more than the Stream whose line is open, or one of the following
	cut  uint8 // a bit for each Stream whose line was interrupted and has not been finished
}

const (
	ended   = 254 // a line that has no newline and to which nothing more will come
	unknown = 255 // somebody's line
)

// Unknown is the State in the middle of a line of which nobody knows whose it is.
var Unknown = State{open: unknown}

// AtStart says whether the next byte begins a line.
func (e State) AtStart() bool { return e.open == 0 }

// Start returns the State after the end of the open line.
func (e State) Start() State {
	e.open = 0
	return e
}

// In returns the State in the middle of a line of s.
func (e State) In(s Stream) State {
	e.open = uint8(s) + 1
	return e
}

// Ended returns the State after s has ended: its open line, if it has one, will not go on.
func (e State) Ended(s Stream) State {
	e.cut &^= 1 << s
	if e.open == uint8(s)+1 {
		e.open = ended
	}
	return e
}

// Writer formats lines of one stream read at one time.
type Writer struct {
	f         Format
	s         Stream
	raw       bool
	start, on []byte // what begins a line; what begins the rest of one that was cut
}

// Writer returns a writer for lines of s that came at t.
func (f Format) Writer(s Stream, t time.Time) Writer {
	w := Writer{f: f, s: s, raw: f.Raw()}
	switch {
	case f.JSON:
		b := append([]byte(nil), `{"time":"`...)
		b = f.stamp(b, t)
		if f.Mark || s == Log {
			b = append(append(b, `","stream":"`...), s.String()...)
		}
		w.start = append(b, `",`...)
	case !w.raw:
		var b []byte
		if f.Stamp != NoStamp {
			b = append(f.stamp(b, t), ' ')
		}
		w.start, w.on = b, b
		if f.Mark {
			w.start = append(append(b[:len(b):len(b)], s.String()...), ' ')
			w.on = append(append(b[:len(b):len(b)], s.String()...), '+', ' ')
		}
	}
	return w
}

// PieceMax is the longest piece of a line that Append takes at once, so that the result,
// however much of it must be escaped, has at most PieceMax*6 + 256 bytes.
const PieceMax = 32 << 10

// Overhead bounds what Append adds to a text line.
const Overhead = 64

// Append appends the piece p of a line, without its newline; end says that it is the last piece and
// had one. at is the State of the file before; the one after is returned.
func (w *Writer) Append(dst, p []byte, end bool, at State) ([]byte, State) {
	if w.f.JSON {
		if at.open != 0 { // left by another format
			dst = append(dst, '\n')
		}
		return w.json(dst, p, end), State{}
	}
	if at.open != uint8(w.s)+1 && !(w.raw && w.s != Log) {
		dst, at = w.begin(dst, at)
	}
	dst = append(dst, p...)
	if !end {
		return dst, at.In(w.s)
	}
	return append(dst, '\n'), at.Start()
}

// begin ends another's open line and begins one of w's stream, or goes on with one that was
// interrupted.
func (w *Writer) begin(dst []byte, at State) ([]byte, State) {
	on := at.cut&(1<<w.s) != 0 || at.open == unknown && w.s != Log
	if at.open != 0 {
		dst = append(dst, '\n')
	}
	if at.open > 0 && at.open <= uint8(Log)+1 {
		at.cut |= 1 << (at.open - 1)
	}
	at.cut &^= 1 << w.s
	if on {
		return append(dst, w.on...), at
	}
	return append(dst, w.start...), at
}
