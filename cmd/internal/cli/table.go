package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
)

// column is one of the columns of a table.
type column struct {
	title string
	right bool // numbers stand below each other
	// spare columns are left out of a narrow terminal, the highest first.
	spare int
	cell  func(control.Status, time.Time) string
}

// statusColumns are what one wants to know of a service, what matters most first. The reason
// comes last because it has no bounds.
var statusColumns = []column{
	{title: "NAME", cell: func(s control.Status, _ time.Time) string { return s.Name }},
	{title: "STATE", cell: func(s control.Status, _ time.Time) string { return string(s.State) }},
	{title: "SINCE", right: true, cell: func(s control.Status, now time.Time) string {
		return ago(s.Since, now)
	}},
	{title: "RESTARTS", right: true, spare: 2, cell: func(s control.Status, _ time.Time) string {
		return strconv.Itoa(s.Restarts)
	}},
	{title: "PID", right: true, cell: func(s control.Status, _ time.Time) string {
		return orDash(s.PID != 0, strconv.Itoa(s.PID))
	}},
	{title: "CPU", right: true, spare: 4, cell: cpuCell},
	{title: "MEMORY", right: true, spare: 3, cell: memoryCell},
	{title: "REASON", cell: func(s control.Status, now time.Time) string { return why(s, now) }},
}

func cpuCell(s control.Status, _ time.Time) string {
	if s.CPU == nil {
		return "-"
	}
	return cpuTime(time.Duration(*s.CPU))
}

func memoryCell(s control.Status, _ time.Time) string {
	if s.Memory == nil {
		return "-"
	}
	return bytesText(*s.Memory)
}

func orDash(ok bool, text string) string {
	if ok {
		return text
	}
	return "-"
}

// why is the reason of a state with what follows from it.
func why(s control.Status, now time.Time) string {
	var parts []string
	if !s.Next.IsZero() {
		parts = append(parts, "next start in "+span(max(0, s.Next.Sub(now))))
	}
	if s.Held {
		parts = append(parts, "held: stopped by hand")
	}
	// Why it ends may be no more than that, and it has not ended before it has.
	unsaid := s.State != control.Stopping || s.Reason != string(control.Stopped)
	if s.Reason != "" && s.Reason != string(s.State) && unsaid {
		parts = append(parts, s.Reason)
	}
	parts = append(parts, logTrouble(s)...)
	if len(parts) == 0 {
		parts = append(parts, cmp.Or(s.Text, s.Description))
	}
	return strings.Join(parts, "; ")
}

// logTrouble says that what a service prints is lost, if it is.
func logTrouble(s control.Status) []string {
	if s.LogError == "" {
		return nil
	}
	return []string{"its log cannot be written: " + s.LogError}
}

// ago is the time since t in its largest unit.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(max(0, now.Sub(t)))
}

// span is a length of time as people read it in passing: "340ms", "12s", "3m", "5h", "12d".
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < time.Hour:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d < 48*time.Hour:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	}
	return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
}

// cpuTime is processor time, to a hundredth of a second as long as that says something.
func cpuTime(d time.Duration) string {
	if d < 100*time.Second {
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return span(d)
}

// bytesText is a number of bytes to two or three digits: "9.4M", "120M", powers of 1024.
func bytesText(n int64) string {
	const units = "KMGTPE"
	v, unit := float64(n)/1024, 0
	for v >= 1000 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f%c", v, units[unit])
	}
	return fmt.Sprintf("%.0f%c", v, units[unit])
}

// statusTable lays services out, width characters wide; 0 is as wide as it gets.
func statusTable(list []control.Status, now time.Time, width int, p palette) string {
	rows := [][]string{each(statusColumns, func(c column) string { return c.title })}
	for _, s := range list {
		rows = append(rows, each(statusColumns,
			func(c column) string { return printable(c.cell(s, now)) }))
	}
	widths := fit(rows, width)
	var b strings.Builder
	for i, cells := range rows {
		colour := p.dim
		if i > 0 {
			colour = p.of(list[i-1].State)
		}
		writeRow(&b, cells, widths, i == 0, colour, p.reset)
	}
	return b.String()
}

// minReason is the least that is worth showing of a reason.
const minReason = 24

// fit returns the width of each column, -1 for one that is left out so that the others fit.
func fit(rows [][]string, width int) []int {
	const gap = 2
	widths := make([]int, len(statusColumns))
	for _, cells := range rows {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if width <= 0 {
		return widths
	}
	last := len(widths) - 1
	for {
		used := 0
		drop := -1
		for i, w := range widths[:last] {
			if w < 0 {
				continue
			}
			used += w + gap
			if statusColumns[i].spare > 0 && (drop < 0 ||
				statusColumns[i].spare > statusColumns[drop].spare) {
				drop = i
			}
		}
		if rest := width - used; drop < 0 || rest >= min(widths[last], minReason) {
			widths[last] = max(0, min(widths[last], rest))
			return widths
		}
		widths[drop] = -1
	}
}

func writeRow(b *strings.Builder, cells []string, widths []int, title bool, colour, reset string) {
	var line strings.Builder
	for i, cell := range cells {
		if widths[i] < 0 {
			continue
		}
		if line.Len() > 0 {
			line.WriteString("  ")
		}
		cell = shorten(cell, widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if statusColumns[i].right {
			line.WriteString(pad)
		}
		if title || statusColumns[i].title == "STATE" {
			cell = colour + cell + reset
		}
		line.WriteString(cell)
		if !statusColumns[i].right {
			line.WriteString(pad)
		}
	}
	b.WriteString(strings.TrimRight(line.String(), " "))
	b.WriteByte('\n')
}

// shorten cuts text to width characters.
func shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width <= 0 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}

// of is the colour of a state: green is well, red wants somebody to look.
func (p palette) of(s control.State) string {
	switch s {
	case control.Ready, control.Listening:
		return p.good
	case control.Failed, control.Backoff:
		return p.bad
	case control.Stopped:
		return p.dim
	}
	return p.wait
}

// width is how wide the terminal is that standard output goes to; 0 if it is none, or does not say.
func (a *app) width() int {
	f, _ := fileOf(a.out)
	if !isTerminal(a.out) {
		return 0
	}
	columns, _, err := sys.TerminalSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
