package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Signal is the name of a signal without "SIG": "TERM", "RTMIN+3". It is a
// name because numbers differ between systems; [Signal.Number] has the number
// on this one.
type Signal string

// linuxSignals are the numbers of signal(7) on most architectures of Linux. A
// number in a description is read by this table wherever that happens, so the
// same file means the same everywhere. 16 (SIGSTKFLT) is unused and absent.
var linuxSignals = map[Signal]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8,
	"KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "CHLD": 17, "CONT": 18, "STOP": 19,
	"TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27,
	"WINCH": 28, "IO": 29, "PWR": 30, "SYS": 31,
}

var linuxSignalNames = func() map[int]Signal {
	names := make(map[int]Signal, len(linuxSignals))
	for name, n := range linuxSignals {
		names[n] = name
	}
	return names
}()

// signalAliases are second names.
var signalAliases = map[Signal]Signal{"IOT": "ABRT", "POLL": "IO", "CLD": "CHLD"}

// Real-time signals as the C library counts them: it keeps 32 and 33 for itself.
const (
	linuxRTMin = 34
	linuxRTMax = 64
)

// ParseSignal reads a name with or without "SIG", in any case, or a Linux number.
func ParseSignal(text string) (Signal, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return signalOfNumber(n)
	}
	name := Signal(strings.TrimPrefix(strings.ToUpper(text), "SIG"))
	if alias, ok := signalAliases[name]; ok {
		name = alias
	}
	if _, ok := linuxSignals[name]; ok {
		return name, nil
	}
	if n, ok := realTime(name); ok {
		return signalOfNumber(n)
	}
	return "", hintf("use a name such as TERM or RTMIN+3, or a number", "%q is not a signal", text)
}

func signalOfNumber(n int) (Signal, error) {
	if n >= linuxRTMin && n <= linuxRTMax {
		return Signal(strings.TrimSuffix(fmt.Sprintf("RTMIN+%d", n-linuxRTMin), "+0")), nil
	}
	if name, ok := linuxSignalNames[n]; ok {
		return name, nil
	}
	return "", hintf("", "there is no signal %d", n)
}

// realTime returns the Linux number of RTMIN, RTMIN+n, RTMAX or RTMAX-n.
func realTime(name Signal) (int, bool) {
	switch name {
	case "RTMIN":
		return linuxRTMin, true
	case "RTMAX":
		return linuxRTMax, true
	}
	if text, ok := strings.CutPrefix(string(name), "RTMIN+"); ok {
		return offsetFrom(linuxRTMin, 1, text)
	}
	if text, ok := strings.CutPrefix(string(name), "RTMAX-"); ok {
		return offsetFrom(linuxRTMax, -1, text)
	}
	return 0, false
}

func offsetFrom(base, sign int, text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 6)
	number := base + sign*int(n)
	return number, err == nil && number >= linuxRTMin && number <= linuxRTMax
}

// SignalNames returns the names that are not real-time signals, sorted.
func SignalNames() []Signal { return slices.Sorted(maps.Keys(linuxSignals)) }

// MarshalText returns the name.
func (s Signal) MarshalText() ([]byte, error) { return []byte(s), nil }

// UnmarshalText is ParseSignal.
func (s *Signal) UnmarshalText(text []byte) error { return parseInto(s, text, ParseSignal) }

// UnmarshalJSON takes a name or a number.
func (s *Signal) UnmarshalJSON(data []byte) error { return s.UnmarshalText(textOrNumber(data)) }
