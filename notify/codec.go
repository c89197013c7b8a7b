package notify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A codec reads one field's value into a message and writes it out again. get
// reports false if the field is not in the message.
type codec interface {
	set(m *Message, value string) (problem string)
	get(m *Message) (value string, ok bool)
}

type keyed struct {
	key string
	codec
}

// codecs are all fields with a meaning, in the order in which Encode writes them:
// what a person reading a trace looks for comes first.
var codecs = []keyed{
	{"READY", flag{"1", func(m *Message) *bool { return &m.Ready }}},
	{"RELOADING", flag{"1", func(m *Message) *bool { return &m.Reloading }}},
	{"MONOTONIC_USEC", duration{func(m *Message) *time.Duration { return &m.Monotonic }}},
	{"STOPPING", flag{"1", func(m *Message) *bool { return &m.Stopping }}},
	{"STATUS", pointer[string]{parseStatus, func(text string) string { return text },
		func(m *Message) **string { return &m.Status }}},
	{"ERRNO", pointer[Errno]{parseErrno, formatErrno,
		func(m *Message) **Errno { return &m.Errno }}},
	{"BUSERROR",
		name{"not printable ASCII", printable, func(m *Message) *string { return &m.BusError }}},
	{"VARLINKERROR", name{"not printable ASCII", printable,
		func(m *Message) *string { return &m.VarlinkError }}},
	{"EXIT_STATUS", pointer[int]{parseExitStatus, strconv.Itoa,
		func(m *Message) **int { return &m.ExitStatus }}},
	{"MAINPID",
		number[int]{"not a process id", 1<<31 - 1, func(m *Message) *int { return &m.MainPID }}},
	{"MAINPIDFDID", number[uint64]{"not an inode number", 1<<64 - 1,
		func(m *Message) *uint64 { return &m.MainPIDFDID }}},
	{"MAINPIDFD", flag{"1", func(m *Message) *bool { return &m.MainPIDFD }}},
	{"WATCHDOG", watchdog{}},
	{"WATCHDOG_USEC", pointer[time.Duration]{parseUsec, formatUsec,
		func(m *Message) **time.Duration { return &m.WatchdogInterval }}},
	{"EXTEND_TIMEOUT_USEC", duration{func(m *Message) *time.Duration { return &m.ExtendTimeout }}},
	{"RESTART_RESET", flag{"1", func(m *Message) *bool { return &m.RestartReset }}},
	{"NOTIFYACCESS", name{"not none, main, exec or all", isAccess,
		func(m *Message) *string { return &m.NotifyAccess }}},
	{"FDSTORE", flag{"1", func(m *Message) *bool { return &m.FDStore }}},
	{"FDSTOREREMOVE", flag{"1", func(m *Message) *bool { return &m.FDStoreRemove }}},
	{"FDNAME",
		name{"not a descriptor name", validFDName, func(m *Message) *string { return &m.FDName }}},
	{"FDPOLL", flag{"0", func(m *Message) *bool { return &m.FDKeepDead }}},
	{"BARRIER", flag{"1", func(m *Message) *bool { return &m.Barrier }}},
}

// codecOf returns the index of the key's codec, or -1.
func codecOf(key string) int {
	return slices.IndexFunc(codecs, func(c keyed) bool { return c.key == key })
}

// Parse reads a message as it came from the socket.
//
// It is as lenient as systemd: a field that cannot be read takes nothing from the
// others, so the Message holds all that could be read even when there is an
// error, which is then of type FieldErrors and meant for the log. Of a key that
// occurs twice the first counts. A datagram that is too long, or has a NUL byte
// elsewhere than at its end, is no message at all: the Message is zero.
func Parse(datagram []byte) (Message, error) {
	if len(datagram) > MaxSize {
		return Message{}, fmt.Errorf("notify message: longer than %d bytes", MaxSize)
	}
	datagram = bytes.TrimSuffix(datagram, []byte{0})
	if bytes.IndexByte(datagram, 0) >= 0 {
		return Message{}, errors.New("notify message: a NUL byte in the text")
	}
	var (
		m    Message
		bad  FieldErrors
		seen [64]bool // by index of codecs
	)
	// systemd separates at carriage returns as well.
	for line := range strings.FieldsFuncSeq(string(datagram), isLineEnd) {
		key, value, hasValue := strings.Cut(line, "=")
		if !hasValue || key == "" {
			bad = append(bad, FieldError{Field{Value: line}, "not of the form KEY=VALUE"})
			continue
		}
		i := codecOf(key)
		switch {
		case i < 0:
			m.Other = append(m.Other, Field{key, value})
		case !seen[i]:
			seen[i] = true
			if problem := codecs[i].set(&m, value); problem != "" {
				bad = append(bad, FieldError{Field{key, value}, problem})
			}
		}
	}
	if bad != nil {
		return m, bad
	}
	return m, nil
}

// Encode returns the message as it goes over the socket. It refuses what a
// receiver would not understand as it was meant: an empty message, a value
// outside its range, a line break in a text, a Barrier that is not alone, the
// removal of descriptors without a name, more than MaxSize bytes.
func (m Message) Encode() ([]byte, error) {
	var lines []string
	for _, c := range codecs {
		value, ok := c.get(&m)
		if !ok {
			continue
		}
		// What is sent must be readable: the reader's own check is the writer's.
		if problem := check(c, value); problem != "" {
			return nil, FieldError{Field{c.key, value}, problem}
		}
		lines = append(lines, c.key+"="+value)
	}
	for _, f := range m.Other {
		if problem := checkOther(f); problem != "" {
			return nil, FieldError{f, problem}
		}
		lines = append(lines, f.Key+"="+f.Value)
	}
	switch text := strings.Join(lines, "\n"); {
	case text == "":
		return nil, errors.New("notify message: nothing to say")
	case m.Barrier && len(lines) > 1:
		return nil, errors.New("notify message: BARRIER=1 must be alone")
	case m.FDStoreRemove && m.FDName == "":
		return nil, errors.New("notify message: FDSTOREREMOVE=1 without FDNAME=")
	case m.Watchdog && m.WatchdogTrigger:
		return nil, errors.New("notify message: WATCHDOG=1 and WATCHDOG=trigger in one")
	case len(text) > MaxSize:
		return nil, fmt.Errorf("notify message: %d bytes, at most %d", len(text), MaxSize)
	default:
		return []byte(text), nil
	}
}

func check(c codec, value string) (problem string) {
	if strings.ContainsFunc(value, isBreak) {
		return "more than one line"
	}
	var scratch Message
	return c.set(&scratch, value)
}

func checkOther(f Field) string {
	switch {
	case codecOf(f.Key) >= 0:
		return "has a field of its own in Message"
	case f.Key == "" || strings.Contains(f.Key, "=") || strings.ContainsFunc(f.Key, isBreak):
		return "not a key"
	case strings.ContainsFunc(f.Value, isBreak):
		return "more than one line"
	}
	return ""
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }

func isBreak(r rune) bool { return isLineEnd(r) || r == 0 }
