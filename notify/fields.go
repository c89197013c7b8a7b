package notify

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// flag is a field that is either there with the one value or not.
type flag struct {
	on    string
	field func(*Message) *bool
}

func (f flag) set(m *Message, value string) string {
	if value != f.on {
		return "not " + f.on
	}
	*f.field(m) = true
	return ""
}

func (f flag) get(m *Message) (string, bool) { return f.on, *f.field(m) }

// name is a text with a rule; the empty text is as good as none.
type name struct {
	problem string
	valid   func(string) bool
	field   func(*Message) *string
}

func (f name) set(m *Message, value string) string {
	if value != "" && !f.valid(value) {
		return f.problem
	}
	*f.field(m) = value
	return ""
}

func (f name) get(m *Message) (string, bool) { return *f.field(m), *f.field(m) != "" }

// number is a positive number in decimal.
type number[T int | uint64] struct {
	problem string
	most    uint64
	field   func(*Message) *T
}

func (f number[T]) set(m *Message, value string) string {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n == 0 || n > f.most {
		return f.problem
	}
	*f.field(m) = T(n)
	return ""
}

func (f number[T]) get(m *Message) (string, bool) {
	return fmt.Sprint(*f.field(m)), *f.field(m) != 0
}

// duration is a time in microseconds of which zero is as good as none.
type duration struct{ field func(*Message) *time.Duration }

func (f duration) set(m *Message, value string) string {
	d, problem := parseUsec(value)
	if problem == "" {
		*f.field(m) = d
	}
	return problem
}

func (f duration) get(m *Message) (string, bool) {
	return formatUsec(*f.field(m)), *f.field(m) != 0
}

// pointer is a field that is nil if it is not there.
type pointer[T any] struct {
	parse  func(value string) (v T, problem string)
	format func(T) string
	field  func(*Message) **T
}

func (f pointer[T]) set(m *Message, value string) string {
	v, problem := f.parse(value)
	if problem == "" {
		*f.field(m) = &v
	}
	return problem
}

func (f pointer[T]) get(m *Message) (string, bool) {
	v := *f.field(m)
	if v == nil {
		return "", false
	}
	return f.format(*v), true
}

func parseStatus(value string) (text, problem string) {
	if !utf8.ValidString(value) {
		return "", "not UTF-8"
	}
	return value, ""
}

func parseErrno(value string) (errno Errno, problem string) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > 4095 { // MAX_ERRNO of the kernel
		return 0, "not an error number"
	}
	return Errno(n), ""
}

func formatErrno(errno Errno) string { return strconv.FormatUint(uint64(errno), 10) }

func parseExitStatus(value string) (status int, problem string) {
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil {
		return 0, "not an exit status"
	}
	return int(n), ""
}

type watchdog struct{}

func (watchdog) set(m *Message, value string) string {
	switch value {
	case "1":
		m.Watchdog = true
	case "trigger":
		m.WatchdogTrigger = true
	default:
		return "not 1 or trigger"
	}
	return ""
}

func (watchdog) get(m *Message) (string, bool) {
	if m.WatchdogTrigger {
		return "trigger", true
	}
	return "1", m.Watchdog
}
