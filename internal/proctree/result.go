package proctree

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daemonry/daemonry/internal/sys"
)

// Result is what Stop did to whom.
type Result struct {
	Main Outcome `json:"main"`
	// Others are the processes that were found beside the main one, by start.
	Others []Outcome `json:"others,omitempty"`
	// Spared belong to the tree and were left alone: this process, its
	// ancestors, and what it started itself.
	Spared []Process `json:"spared,omitempty"`
	// Left should have ended and have not.
	Left []Process `json:"left,omitempty"`
}

// Outcome is what became of one process.
type Outcome struct {
	Process
	Signals []string `json:"signals,omitempty"` // sent, in order, with the prefix SIG
	Ended   bool     `json:"ended"`
	// nanoseconds from the first signal, or from the start of Stop, until the end was seen
	After time.Duration `json:"after"`
	// why a signal could not be sent
	Error string `json:"error,omitempty"`
}

// String names a process for people: "4711 (web)". Control characters in the
// name, which the program chose, are escaped.
func (p Process) String() string {
	name := p.Name
	if !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		name = strings.Trim(strconv.Quote(name), `"`)
	}
	return fmt.Sprintf("%d (%s)", p.PID, name)
}

func (s *stopper) result() Result {
	all := slices.Concat(s.ended, s.sorted())
	s.sort(all)
	var r Result
	for _, m := range all {
		switch {
		case m.alive && m.spared:
			r.Spared = append(r.Spared, m.Process)
			continue
		case m.alive:
			r.Left = append(r.Left, m.Process)
		}
		if o := m.outcome(); m.key() == s.root {
			r.Main = o
		} else {
			r.Others = append(r.Others, o)
		}
	}
	return r
}

func (m *member) outcome() Outcome {
	o := Outcome{Process: m.Process, Ended: !m.alive, After: m.done.after}
	for _, sig := range m.done.signals {
		o.Signals = append(o.Signals, sys.SignalName(sig))
	}
	if m.done.refused != nil {
		o.Error = m.done.refused.Error()
	}
	return o
}

// String says what was done to one process and how it went.
func (o Outcome) String() string {
	text := "nothing was sent to " + o.Process.String()
	if len(o.Signals) > 0 {
		text = "sent " + strings.Join(o.Signals, ", then ") + " to " + o.Process.String()
	}
	switch {
	case o.Error != "":
		return text + ": " + o.Error
	case o.Ended:
		return text + ", it ended after " + round(o.After).String()
	}
	return text + ", it has not ended"
}

// joined names the first of a list and counts the rest: a tree may have thousands.
func joined(list []Process) string {
	const most = 10
	var names []string
	for _, p := range list[:min(most, len(list))] {
		names = append(names, p.String())
	}
	if more := len(list) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// round keeps three digits or so: nobody wants the nanoseconds of an end.
func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
