package cli

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/cmd/internal/logs/target"
)

// lineWriter writes lines of services, with their names if there are several, and their times if
// they have any.
type lineWriter struct {
	dest  target.Dest // nil: standard output is no file
	times bool
	p     palette
	text  []byte
}

func (a *app) lines(list []foundLog, bare bool) *lineWriter {
	w := &lineWriter{p: a.colours(), times: !bare}
	f, terminal := fileOf(a.out)
	if f == nil {
		return w
	}
	many, width := false, 0
	for _, l := range list {
		many = many || l.Service != list[0].Service
		width = max(width, len(l.Service))
	}
	w.dest = target.NewConsole(target.Console{File: f, Color: w.p != palette{}, Width: width,
		Bare: bare || !many, Screen: terminal && !bare})
	return w
}

func (w *lineWriter) emit(r query.Record) error {
	if w.dest == nil {
		return errNoOutput
	}
	text := r.Text
	if w.times && r.Dated && !r.Rest {
		w.text = append(w.text[:0], w.p.dim...)
		w.text = r.Time.Local().AppendFormat(w.text, eventTime)
		w.text = append(w.text, w.p.reset...)
		w.text = append(append(w.text, "  "...), r.Text...)
		text = w.text // our own colours are colours like others
	}
	_, err := w.dest.Send([]target.Record{{Service: r.Service, Stream: r.Stream, Time: r.Time,
		Text: text, More: r.More}})
	return err
}

// jsonLine is a line as --json shows it.
type jsonLine struct {
	Service string  `json:"service"`
	Time    string  `json:"time,omitempty"`   // RFC 3339 in UTC; empty: the log does not say
	Stream  string  `json:"stream,omitempty"` // "out", "err" or "log"; empty: the log does not say
	Line    *string `json:"line,omitempty"`
	Bytes   []byte  `json:"bytes,omitempty"` // in place of Line if that is not valid UTF-8
	Partial bool    `json:"partial,omitempty"`
}

// jsonTime is as precise as logs are, and sorts as text.
const jsonTime = "2006-01-02T15:04:05.000000Z"

// jsonWriter writes lines as objects.
type jsonWriter struct {
	out   *json.Encoder
	apart map[string]bool // services whose streams have a file each
}

func (a *app) jsonLines(list []foundLog) *jsonWriter {
	w := &jsonWriter{out: jsonEncoder(a.out), apart: map[string]bool{}}
	for _, l := range list {
		w.apart[l.Service] = l.Apart
	}
	return w
}

func (w *jsonWriter) emit(r query.Record) error {
	l := jsonLine{Service: r.Service, Partial: r.More}
	if r.Dated {
		l.Time = r.Time.UTC().Format(jsonTime)
	}
	if r.Marked || w.apart[r.Service] {
		l.Stream = r.Stream.String()
	}
	if utf8.Valid(r.Text) {
		l.Line = new(string(r.Text))
	} else {
		l.Bytes = r.Text
	}
	return w.out.Encode(l)
}
