package cli

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func someServices() []control.Status {
	return []control.Status{
		{
			Name: "web", State: control.Ready, Ready: true, PID: 4211,
			Since: noon.Add(-3 * time.Minute),
			CPU:   new(spec.Duration(1250 * time.Millisecond)), Memory: new(int64(12 << 20)),
			Text: "serving",
		},
		{
			Name: "database", State: control.Backoff, Restarts: 12, Since: noon.Add(-time.Second),
			Next: noon.Add(4 * time.Second), Reason: "exited with status 7 before it was ready",
		},
		{Name: "mail\x1b[2J", State: control.Stopped, Held: true},
	}
}

func TestStatusTable(t *testing.T) {
	for _, tt := range []struct {
		width int
		want  string
	}{
		{0, `
NAME         STATE    SINCE  RESTARTS   PID    CPU  MEMORY  REASON
web          ready       3m         0  4211  1.25s     12M  serving
database     backoff     1s        12     -      -       -  next start in 4s; exited with status 7 before it was ready
mail\x1b[2J  stopped      -         0     -      -       -  held: stopped by hand
`},
		{80, `
NAME         STATE    SINCE  RESTARTS   PID  MEMORY  REASON
web          ready       3m         0  4211     12M  serving
database     backoff     1s        12     -       -  next start in 4s; exited w…
mail\x1b[2J  stopped      -         0     -       -  held: stopped by hand
`},
		{60, `
NAME         STATE    SINCE   PID  REASON
web          ready       3m  4211  serving
database     backoff     1s     -  next start in 4s; exited…
mail\x1b[2J  stopped      -     -  held: stopped by hand
`},
	} {
		got := statusTable(someServices(), noon, tt.width, palette{})
		if want := strings.TrimPrefix(tt.want, "\n"); got != want {
			t.Errorf("%d wide:\n%s\nwant\n%s", tt.width, got, want)
		}
	}
}

// TestStatusTableFits: whatever the terminal, no line is wider than it, as long as the columns that
// are never left out fit.
func TestStatusTableFits(t *testing.T) {
	for width := 40; width < 140; width++ {
		for line := range strings.Lines(statusTable(someServices(), noon, width, palette{})) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d wide: a line of %d: %s", width, n, line)
			}
		}
	}
}

// TestWhyOfAnEnd: what is being stopped is not called stopped in the same line.
func TestWhyOfAnEnd(t *testing.T) {
	for reason, want := range map[string]string{
		"stopped":                         "held: stopped by hand",
		"the supervisor is shutting down": "held: stopped by hand; the supervisor is shutting down",
	} {
		s := control.Status{Name: "web", State: control.Stopping, Held: true, Reason: reason}
		if got := why(s, noon); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 340 * time.Millisecond: "340ms", 59 * time.Second: "59s", time.Hour - 1: "59m",
		47 * time.Hour: "47h", 49 * time.Hour: "2d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "0.0K", 9 << 10: "9.0K", 110 << 10: "110K", 999 << 10: "999K", 1 << 20: "1.0M",
		12 << 20: "12M", 3 << 30: "3.0G",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// TestEventText: a line that says when, whose, what and why, and the last words below it.
func TestEventText(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 5e6, time.Local)
	for _, tt := range []struct {
		name string
		ev   control.Event
		want string
	}{
		{"a state",
			control.Event{Time: at, Kind: control.EventState, Service: "web",
				From: control.Starting, State: control.Ready},
			"2026-11-21 12:00:00.005  web           ready     was starting\n"},
		{"an end", control.Event{
			Time: at, Kind: control.EventExit, Service: "web", State: control.Ready, PID: 7,
			Exit: &control.Exit{
				Code:   7,
				Text:   "exited with status 7",
				User:   spec.Duration(time.Second),
				MaxRSS: 14 << 20,
				Words:  []string{"out of", "\x1bcheese"},
			},
		}, "2026-11-21 12:00:00.005  web           exit      process 7 exited with status 7 (cpu " +
			"1.00s, memory 14M)\n" +
			"                         | out of\n                         | \\x1bcheese\n"},
		{"the supervisor's own",
			control.Event{Time: at, Kind: control.EventTrouble, Reason: "disk full"},
			"2026-11-21 12:00:00.005  -             trouble   disk full\n"},
	} {
		if got := eventText(tt.ev, palette{}); got != tt.want {
			t.Errorf("%s:\n%q\nwant\n%q", tt.name, got, tt.want)
		}
	}
}
