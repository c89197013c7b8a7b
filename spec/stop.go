package spec

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// StopStep is a signal and the time to wait after it. A Wait of 0 is
// Supervision.StopTimeout.
type StopStep struct {
	Signal Signal
	Wait   Duration
}

// StopSchedule ends a service: step by step, until nothing of it is left. KILL
// follows the last step whether it is written or not. Its text is
// "SIGNAL[/WAIT]…", as in "INT/5s/TERM/10s"; in JSON and TOML it may also be an
// array of such texts.
type StopSchedule []StopStep

// ParseStopSchedule reads the text form.
func ParseStopSchedule(text string) (StopSchedule, error) {
	var steps StopSchedule
	for part := range strings.SplitSeq(text, "/") {
		if steps != nil && steps[len(steps)-1].Wait == 0 {
			if wait, err := ParseDuration(part); err == nil {
				if wait == 0 {
					return nil, hintf("leave the signal out", "a wait of %s has no effect", part)
				}
				steps[len(steps)-1].Wait = wait
				continue
			}
			if _, err := strconv.Atoi(part); err == nil {
				return nil, hintf("write "+strconv.Quote(part+"s"), "the wait %q has no unit", part)
			}
		}
		signal, err := ParseSignal(part)
		if err != nil {
			return nil, err
		}
		steps = append(steps, StopStep{Signal: signal})
	}
	return steps, nil
}

// String returns what ParseStopSchedule reads back; "" for the default.
func (s StopSchedule) String() string {
	var b strings.Builder
	for i, step := range s {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(string(step.Signal))
		if step.Wait != 0 {
			b.WriteString("/" + step.Wait.String())
		}
	}
	return b.String()
}

// MarshalText returns [StopSchedule.String].
func (s StopSchedule) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseStopSchedule.
func (s *StopSchedule) UnmarshalText(text []byte) error {
	return parseInto(s, text, ParseStopSchedule)
}

// UnmarshalJSON takes the text or an array of texts.
func (s *StopSchedule) UnmarshalJSON(data []byte) error {
	if text, err := jsonText(data); err == nil {
		return s.UnmarshalText([]byte(text))
	}
	var parts []string
	if err := json.Unmarshal(data, &parts); err != nil || len(parts) == 0 {
		return hintf(`write "TERM", "INT/5s/TERM/10s" or ["INT/5s", "TERM/10s"]`,
			"a stop is a text or an array of texts")
	}
	return s.UnmarshalText([]byte(strings.Join(parts, "/")))
}

// ExitSet is a set of exit codes and signals. In JSON and TOML it is an array
// of numbers (codes) and names (signals): [3, "TERM"].
type ExitSet struct {
	Codes   []int
	Signals []Signal
}

// IsZero tells whether the set is empty.
func (e ExitSet) IsZero() bool { return len(e.Codes) == 0 && len(e.Signals) == 0 }

// HasCode tells whether the exit code is in the set; 0 always is.
func (e ExitSet) HasCode(code int) bool { return code == 0 || slices.Contains(e.Codes, code) }

// HasSignal tells whether the signal is in the set.
func (e ExitSet) HasSignal(signal Signal) bool { return slices.Contains(e.Signals, signal) }

// MarshalJSON returns an array.
func (e ExitSet) MarshalJSON() ([]byte, error) {
	all := make([]any, 0, len(e.Codes)+len(e.Signals))
	for _, code := range e.Codes {
		all = append(all, code)
	}
	for _, signal := range e.Signals {
		all = append(all, signal)
	}
	return json.Marshal(all)
}

// UnmarshalJSON takes an array of numbers and names.
func (e *ExitSet) UnmarshalJSON(data []byte) error {
	var (
		all []json.RawMessage
		set ExitSet
	)
	if err := json.Unmarshal(data, &all); err != nil {
		return hintf(`write [3, "TERM"]`, "exit codes and signals are an array")
	}
	for _, item := range all {
		if text, err := jsonText(item); err == nil {
			signal, err := ParseSignal(text)
			if err != nil {
				return err
			}
			if _, err := strconv.Atoi(text); err == nil {
				return hintf("write it without quotes for an exit code, by name for a signal",
					"%q is neither", text)
			}
			set.Signals = append(set.Signals, signal)
			continue
		}
		code, err := strconv.Atoi(string(item))
		if err != nil || code < 0 || code > 255 {
			return hintf("an exit code is 0 to 255", "%s is not an exit code", item)
		}
		set.Codes = append(set.Codes, code)
	}
	*e = set
	return nil
}
