// Package journal writes log records with their levels into systemd's journal, and as plain lines
// where there is none.
//
//	slog.SetDefault(slog.New(journal.NewHandler(os.Stderr, nil)))
//
// Standard error of a service of systemd is the journal, which takes the level of a line from a
// prefix ("<3>", sd-daemon(3)). That is what is written there, for it needs nothing but the
// descriptor that the program has already: no socket that a new root, a sandbox or a container
// hides, and no race between the end of the program and the journal's look at who has written. What
// the program prints otherwise, and the Go runtime when it crashes, is in order with it.
//
// Everywhere else, at a terminal, in a log file, under another manager, a line has the time and the
// level as a word.
//
// Package log is served too: [slog.NewLogLogger] makes a *log.Logger of a handler, and
// [slog.SetDefault] has log.Print go through it.
package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/daemonry/daemonry/internal/sys"
)

// Connected says whether a file leads to the journal: it is what systemd has made standard output
// or standard error of (JOURNAL_STREAM of systemd.exec(5), the device and the inode). A file that
// has been redirected since is not, nor is that of a process further down.
func Connected(f *os.File) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	if stream == "" || f == nil {
		return false
	}
	fi, err := f.Stat()
	if err != nil {
		return false // closed: nothing gets anywhere
	}
	id := sys.FileIDOf(fi)
	return stream == fmt.Sprintf("%d:%d", id.Device, id.Inode)
}

// NewHandler returns a handler that writes records to f, each in one call: with the prefix of its
// level if f is Connected now, else with time and level. Make it after daemonry.Detach, which may
// put another file in the place of standard error.
//
// A record is its message and then its attributes as slog.TextHandler writes them. A message of
// several lines has a tab before all but the first; one with other control characters is quoted.
// Options are those of slog; nil is none. Their ReplaceAttr gets attributes and the source, not the
// time, the level and the message.
//
// The priorities of the journal are: debug below slog.LevelInfo, info, notice from
// slog.LevelInfo+2, warning from slog.LevelWarn, err from slog.LevelError, crit from
// slog.LevelError+4.
func NewHandler(f *os.File, options *slog.HandlerOptions) slog.Handler {
	var o slog.HandlerOptions
	if options != nil {
		o = *options
	}
	replace := o.ReplaceAttr
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case a.Key == slog.LevelKey && a.Value.Any() == any(written),
			a.Key == slog.MessageKey && a.Value.Any() == any(writtenText):
			return slog.Attr{}
		case replace != nil:
			return replace(groups, a)
		}
		return a
	}
	h := &handler{out: &output{f: f, journal: Connected(f)}, level: o.Level}
	if h.level == nil {
		h.level = slog.LevelInfo
	}
	o.Level = nil
	h.attrs = slog.NewTextHandler(&h.out.attrs, &o)
	return h
}

// written and writtenText stand for the level and the message where these are written already.
const (
	written     = slog.Level(math.MaxInt)
	writtenText = "\x00"
)

// handler is one set of attributes and groups.
type handler struct {
	out   *output
	level slog.Leveler
	attrs slog.Handler // writes all but time, level and message to out.attrs
}

// output is what the handlers share that come of one.
type output struct {
	f       *os.File
	journal bool

	mu          sync.Mutex
	attrs, line bytes.Buffer
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = h.attrs.WithAttrs(attrs)
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.attrs = h.attrs.WithGroup(name)
	return &c
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	rest := slog.Record{Level: written, Message: writtenText, PC: r.PC}
	r.Attrs(func(a slog.Attr) bool { rest.AddAttrs(a); return true })
	out := h.out
	out.mu.Lock()
	defer out.mu.Unlock()
	out.attrs.Reset()
	if err := h.attrs.Handle(ctx, rest); err != nil {
		return err
	}
	text := message(r.Message)
	if attrs := strings.TrimSpace(out.attrs.String()); attrs != "" {
		text += " " + attrs
	}
	out.line.Reset()
	if out.journal {
		out.entries(priority(r.Level), text)
	} else {
		out.plain(r, text)
	}
	_, err := out.f.Write(out.line.Bytes())
	return err
}

// message is what a reader can take for nothing but one message.
func message(text string) string {
	text = strings.TrimRight(text, "\n")
	for _, r := range text {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' {
			return strconv.Quote(text)
		}
	}
	return strings.ReplaceAll(text, "\n", "\n\t")
}

func (o *output) plain(r slog.Record, text string) {
	if !r.Time.IsZero() {
		o.line.WriteString(r.Time.Format("2006-01-02T15:04:05.000Z07:00 "))
	}
	fmt.Fprintf(&o.line, "%s %s\n", r.Level, text)
}

// mostLine is less than what the journal breaks a line at by itself (LineMax= of journald.conf(5),
// 48 KiB by default): what follows such a break has no level.
const mostLine = 40 << 10

// entries writes a line for each entry that the journal makes of the text.
func (o *output) entries(priority int, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		for {
			part := line
			if len(part) > mostLine {
				part = part[:mostLine]
				for !utf8.RuneStart(line[len(part)]) {
					part = part[:len(part)-1]
				}
			}
			fmt.Fprintf(&o.line, "<%d>%s\n", priority, part)
			if line = line[len(part):]; line == "" {
				break
			}
		}
	}
}

// priority is that of syslog(3).
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError+4:
		return 2
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo+2:
		return 5
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
