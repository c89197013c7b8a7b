package spec

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// TargetKind is a kind of place for a service's output.
type TargetKind string

const (
	TargetFile     TargetKind = "file"
	TargetJournald TargetKind = "journald"
	TargetSyslog   TargetKind = "syslog"
	TargetStdout   TargetKind = "stdout"
	TargetPipe     TargetKind = "pipe"
	TargetNone     TargetKind = "none"
)

// LogTarget is a place for a service's output; see [Log] for its texts.
type LogTarget struct {
	Kind TargetKind
	// Network and Addr of syslog: "unix", "udp", "tcp" or "tls"; both empty for
	// the local socket (/dev/log).
	Network string
	Addr    string
	// Command of pipe, as [Split] reads it.
	Command string
}

// ParseLogTarget reads the text form.
func ParseLogTarget(text string) (LogTarget, error) {
	kind, arg, hasArg := strings.Cut(text, ":")
	t := LogTarget{Kind: TargetKind(kind)}
	switch {
	case t.Kind == TargetPipe:
		words, err := ParseCommand(arg)
		if err != nil {
			return LogTarget{}, err
		}
		t.Command = words.String()
	case t.Kind == TargetSyslog && hasArg:
		if t.Network, t.Addr, _ = strings.Cut(arg, ":"); t.Network == "" {
			return LogTarget{}, unknownTarget(text)
		}
	case hasArg:
		return LogTarget{}, unknownTarget(text)
	}
	if err := t.check(); err != nil {
		return LogTarget{}, err
	}
	return t, nil
}

func unknownTarget(text string) error {
	return hintf(
		"file, journald, syslog, syslog:unix:PATH, syslog:udp|tcp|tls:HOST:PORT, stdout, "+
			"pipe:COMMAND or none",
		"%q is not a log target", text,
	)
}

func (t LogTarget) check() error {
	switch t.Kind {
	case TargetFile, TargetJournald, TargetStdout, TargetNone:
		return nil
	case TargetPipe:
		_, err := ParseCommand(t.Command)
		return err
	case TargetSyslog:
		switch t.Network {
		case "":
			if t.Addr == "" {
				return nil
			}
		case "unix":
			if t.Addr != "" {
				return nil
			}
		case "udp", "tcp", "tls":
			return checkHostPort(t.Addr)
		}
	}
	return unknownTarget(t.String())
}

// Argv returns the program and arguments of a pipe, nil for any other target.
func (t LogTarget) Argv() Command {
	words, err := Split(t.Command)
	if err != nil || t.Kind != TargetPipe {
		return nil
	}
	return words
}

// String returns what ParseLogTarget reads back.
func (t LogTarget) String() string {
	switch {
	case t.Kind == TargetPipe:
		return "pipe:" + t.Command
	case t.Kind == TargetSyslog && t.Network != "":
		return "syslog:" + t.Network + ":" + t.Addr
	}
	return string(t.Kind)
}

// MarshalText returns [LogTarget.String].
func (t LogTarget) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is ParseLogTarget.
func (t *LogTarget) UnmarshalText(text []byte) error { return parseInto(t, text, ParseLogTarget) }

// facilities are the names that Log.Facility can have, in the order of their
// numbers (RFC 5424, section 6.2.1); reserved ones have no name.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
	"ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
	"local7",
}

// FacilityNumber returns the number of a syslog facility.
func FacilityNumber(name string) (int, bool) {
	n := slices.Index(facilities, name)
	if name == "" || n < 0 {
		return 0, false
	}
	return n, true
}

// Rate is a number of events in a time, written "1000/1s". Zero: no limit.
type Rate struct {
	Events int
	Per    Duration
}

// ParseRate reads the text form; "1000/s" is "1000/1s".
func ParseRate(text string) (Rate, error) {
	number, per, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if err == nil && n > 0 {
		switch per {
		case "s", "m", "h":
			per = "1" + per
		}
		d, err := ParseDuration(per)
		if err == nil && d > 0 && d != Forever {
			return Rate{n, d}, nil
		}
	}
	return Rate{}, hintf(`write it like "1000/1s"`, "%q is not a rate", text)
}

func (r Rate) valid() bool {
	return r == Rate{} || r.Events > 0 && r.Per > 0 && r.Per != Forever
}

// String returns what ParseRate reads back; "" for no limit.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	return strconv.Itoa(r.Events) + "/" + r.Per.String()
}

// Interval returns the time between two events at this rate.
func (r Rate) Interval() time.Duration {
	if r.Events <= 0 {
		return 0
	}
	return time.Duration(r.Per) / time.Duration(r.Events)
}

// MarshalText returns [Rate.String].
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRate.
func (r *Rate) UnmarshalText(text []byte) error { return parseInto(r, text, ParseRate) }
