package target

import (
	"hash/fnv"
	"os"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/safetext"
)

// Console says how lines of several services are shown together.
type Console struct {
	File *os.File
	// Color gives each service's name one of a few colours, always the same.
	Color bool
	// Width is that of the column of names; longer ones go beyond it.
	Width int
	// Bare leaves the names out: the lines of a single service as they are.
	Bare bool
	// Screen keeps lines from doing anything to the terminal that File is, but for colours, which
	// end with their line.
	Screen bool
}

type console struct {
	Console
	open string // the service and stream whose line is not finished
	buf  []byte
}

// NewConsole returns a destination that writes "name | line". A line is never interrupted by
// another's: it is ended first, and goes on in a line of its own.
func NewConsole(c Console) Dest { return &console{Console: c} }

// colors are the SGR codes that are legible on black and on white.
var colors = [...]string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

func (d *console) Send(records []Record) (int, error) {
	d.buf = d.buf[:0]
	done := 0
	for i, r := range records {
		d.format(r)
		if len(d.buf) < 64<<10 && i < len(records)-1 {
			continue
		}
		// A part of it may be out when it fails: then the terminal is gone, and
		// nobody counts what it showed.
		if _, err := d.File.Write(d.buf); err != nil {
			d.open = ""
			return done, err
		}
		d.buf, done = d.buf[:0], i+1
	}
	return done, nil
}

func (d *console) format(r Record) {
	key := r.Service + "\x00" + r.Stream.String()
	if d.open != "" && d.open != key {
		d.buf = append(d.buf, '\n')
		d.open = ""
	}
	if d.open == "" && !d.Bare {
		d.prefix(r)
	}
	if d.Screen {
		d.buf = safetext.AppendLine(d.buf, r.Text)
	} else {
		d.buf = append(d.buf, r.Text...)
	}
	if r.More {
		d.open = key
		return
	}
	d.open = ""
	d.buf = append(d.buf, '\n')
}

func (d *console) prefix(r Record) {
	if d.Color {
		d.buf = append(d.buf, "\x1b["+colorOf(r.Service)+"m"...)
	}
	d.buf = append(d.buf, r.Service...)
	d.buf = append(d.buf, strings.Repeat(" ", max(0, d.Width-len(r.Service)))...)
	d.buf = append(d.buf, " | "...)
	if d.Color {
		d.buf = append(d.buf, "\x1b[0m"...)
	}
}

func (d *console) Close() error { return nil }

// colorOf returns the SGR code of a service's name.
func colorOf(service string) string {
	h := fnv.New32a()
	h.Write([]byte(service))
	return colors[h.Sum32()%uint32(len(colors))]
}
