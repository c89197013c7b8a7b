package lastwords

import (
	"slices"
	"strings"
)

// block is the last thing in what was printed that is what the Go runtime says when a program
// breaks off: a reason, then stacks to the very end. A panic that was recovered and printed looks
// alike, but the program prints more after it.
type block struct {
	state  state
	lines  []string // the first of it
	before []string // the last that were printed before
	raw    int      // how many lines of the reason do not look like what the runtime writes
}

type state int

const (
	none  state = iota
	maybe       // a reason in the middle of a line: that it is one is seen by what comes next
	fatal       // a signal, likewise
	begun       // a reason
	stack       // and stacks
)

// whole says that nothing but stacks came after the reason. There are none for GOTRACEBACK=none,
// and when there are no goroutines.
func (b *block) whole() bool { return b.state == stack || b.state == begun && b.raw == 0 }

// reasons are what the reason begins with, unless it is a signal (printpanics, throw and fatal in
// runtime/panic.go).
var reasons = []string{"panic: ", "fatal error: "}

// preludes are what the runtime prints in lines of their own before a fatal error: of memory, of
// stacks, of addresses.
var preludes = []string{
	"runtime: ", "unexpected fault address ", "accessed data from freed user arena ",
}

// panics are what it prints before a fatal error in a panic, which it indents then
// (printPreFatalDeferPanic in runtime/panic.go).
var panics = []string{"panic: ", "\tpanic: "}

func startsWith(line string, list []string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(line, s) })
}

// take goes on with the next line; recent are those before it.
func (b *block) take(line string, recent []string) {
	switch {
	case startsWith(line, reasons):
		b.begin(begun, line, recent)
	case isSignal(line):
		b.begin(fatal, line, recent)
	case b.state != none && b.goesOn(line):
		if len(b.lines) < Most {
			b.lines = append(b.lines, line)
		}
	default:
		*b = block{}
		if at := reasonIn(line); at > 0 {
			b.begin(maybe, line[at:], append(slices.Clip(recent), line[:at]))
		}
	}
}

// seek looks for the last line with which the runtime's own words may begin, if their first line is
// that.
func (b *block) seek(line, first string, recent []string) {
	if !startsWhole(first) {
		if at := reasonIn(line); at >= 0 && strings.HasPrefix(line[at:], reasons[1]) {
			b.beginIn(line, at, recent)
		}
	} else if strings.HasSuffix(line, first) {
		b.beginIn(line, len(line)-len(first), recent)
	}
}

// startsWhole says whether the runtime's own words have the reason in them.
func startsWhole(first string) bool {
	return strings.HasPrefix(first, reasons[0]) || isSignal(first)
}

func (b *block) beginIn(line string, at int, recent []string) {
	switch {
	case at == 1 && line[0] == '\t':
		at = 0
	case at > 0:
		recent = append(slices.Clip(recent), line[:at])
	}
	b.begin(begun, line[at:], recent)
}

func (b *block) begin(s state, line string, recent []string) {
	var with []string
	switch {
	case strings.HasPrefix(line, reasons[1]):
		with = preludes
	case line[0] == '\t':
		with = panics
	}
	from := len(recent)
	for from > max(0, len(recent)-Most+1) && startsWith(recent[from-1], with) {
		from--
	}
	*b = block{
		state:  s,
		lines:  append(slices.Clone(recent[from:]), line),
		before: slices.Clone(last(recent[:from], Before)),
	}
}

// reasonIn returns where in the line a reason begins, -1 if nowhere.
func reasonIn(line string) int {
	at := -1
	for _, r := range reasons {
		if i := strings.Index(line, r); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	return at
}

// goesOn says whether the line belongs to the block.
func (b *block) goesOn(line string) bool {
	blank := b.lines[len(b.lines)-1] == "" // the runtime writes an empty line before the stacks
	switch {
	case b.state == stack:
		return isTrace(line)
	case b.state == fatal && !strings.HasPrefix(line, "PC="):
		return false
	case b.state == fatal,
		b.state == begun && startsWith(line, stacks),
		b.state == maybe && blank && startsWith(line, stacks):
		b.state = stack
		return true
	case line == "" || line[0] == '\t' || strings.HasPrefix(line, "[signal "):
		return true
	}
	// Before Go 1.18 the lines of a value were not indented.
	b.raw++
	return b.state == begun && b.raw < Most
}

// isSignal says whether the line is the name and the meaning of a signal, as in "SIGQUIT: quit"
// (sigtable in runtime/sigtab_*.go).
func isSignal(line string) bool {
	name, meaning, ok := strings.Cut(line, ": ")
	return ok && meaning != "" && len(name) > 3 && strings.HasPrefix(name, "SIG") &&
		strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// stacks are what those begin with.
var stacks = []string{"goroutine ", "runtime stack:"}

// traces are what lines among stacks begin with, if they are neither calls nor registers
// (runtime/traceback.go, dopanic_m in runtime/panic.go, fatalsignal in runtime/signal_unix.go). The
// last one is what the go command says of a program that it has run.
var traces = []string{
	"\t", "goroutine ", "created by ", "[signal ", "[originating from ", "runtime stack:",
	"runtime: ", "PC=", "signal arrived during cgo execution", "instruction bytes:", "-----",
	"stack: frame=", "0x", "panic during panic", "non-Go function", "exit status ",
}

func isTrace(line string) bool {
	return line == "" || startsWith(line, traces) || isCall(line) || isRegister(line) ||
		strings.HasPrefix(line, "...") && strings.HasSuffix(line, "frames elided...")
}

// isCall is for "main.(*server).run(0xc000, {...})".
func isCall(line string) bool {
	name, _, ok := strings.Cut(line, "(")
	return ok && name != "" && strings.HasSuffix(line, ")") && !strings.ContainsAny(name, " \t")
}

// isRegister is for "rax    0x1".
func isRegister(line string) bool {
	name, value, ok := strings.Cut(line, " ")
	return ok && len(name) < 8 && strings.HasPrefix(strings.TrimLeft(value, " "), "0x") &&
		strings.Trim(line, "abcdefghijklmnopqrstuvwxyz0123456789_ \t") == ""
}

// raceReport takes the reports of the race detector out of what was printed. A program goes on
// after one.
type raceReport struct {
	inside bool
	line   string   // may be the first of a report; "" if not
	lines  []string // the first of the last report
}

const raceWarning = "WARNING: DATA RACE"

// filter returns the lines that are none of a report, up to this one.
func (r *raceReport) filter(line string) []string {
	rule := len(line) >= 18 && strings.Trim(line, "=") == ""
	switch {
	case r.line != "" && line == raceWarning:
		r.inside, r.lines = true, []string{r.line, line}
		r.line = ""
		return nil
	case r.inside && rule:
		r.inside = false
		return nil
	case r.inside && startsWith(line, raceLines) || r.inside && line == "":
		if len(r.lines) < Most {
			r.lines = append(r.lines, line)
		}
		return nil
	}
	r.inside = false
	var lines []string
	if r.line != "" {
		lines = append(lines, r.line)
		r.line = ""
	}
	if rule {
		r.line = line
		return lines
	}
	return append(lines, line)
}

// raceLines are what the lines of a report begin with (compiler-rt/lib/tsan/rtl/tsan_report.cpp).
var raceLines = []string{
	"  ", "Read at ", "Write at ", "Previous ", "Goroutine ", "Mutex ", "[failed to restore",
	"Atomic read at ", "Atomic write at ", "Location is ", "Global var ",
}
