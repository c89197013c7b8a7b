package spec

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Duration is a length of time, written as Go writes it ("1.5s", "2h30m") or
// as "forever". It is never negative, and never a bare number: nobody knows
// whether 30 means seconds.
type Duration time.Duration

// Forever is longer than any other duration: no time-out.
const Forever Duration = math.MaxInt64

// ParseDuration reads the text form.
func ParseDuration(text string) (Duration, error) {
	if text == "forever" {
		return Forever, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, hintf(durationHint(text), "%q is not a duration", text)
	case d < 0:
		return 0, fmt.Errorf("duration %q is negative", text)
	case Duration(d) == Forever:
		return 0, hintf(`write "forever"`, "duration %q is too long", text)
	}
	return Duration(d), nil
}

// durationHint guesses what was meant.
func durationHint(text string) string {
	number := strings.TrimRight(text, "dw")
	if _, err := time.ParseDuration(number + "h"); err == nil && number != "" {
		switch text[len(number):] {
		case "":
			return fmt.Sprintf("a number needs a unit: %q", number+"s")
		case "d":
			return "days are written in hours: a day is 24h"
		case "w":
			return "weeks are written in hours: a week is 168h"
		}
	}
	return `write it like "300ms", "1.5s", "2h30m" or "forever"`
}

// String returns the shortest text that ParseDuration reads back: "2h" where
// [time.Duration.String] says "2h0m0s".
func (d Duration) String() string {
	if d == Forever {
		return "forever"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns [Duration.String].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error { return parseInto(d, text, ParseDuration) }

// UnmarshalJSON refuses a number with the text it should have been.
func (d *Duration) UnmarshalJSON(data []byte) error {
	text, err := jsonText(data)
	if err != nil {
		return hintf(
			fmt.Sprintf("write it with a unit, as in %q", strings.Trim(string(data), `"`)+"s"),
			"a duration is a text",
		)
	}
	return d.UnmarshalText([]byte(text))
}

// parseInto stores what parse makes of text, or nothing.
func parseInto[T any](dst *T, text []byte, parse func(string) (T, error)) error {
	v, err := parse(string(text))
	if err == nil {
		*dst = v
	}
	return err
}

// textOrNumber returns the string that data is, or data as it is, which may be a number.
func textOrNumber(data []byte) []byte {
	if text, err := jsonText(data); err == nil {
		return []byte(text)
	}
	return data
}

// jsonText returns the string that data is, or an error.
func jsonText(data []byte) (string, error) {
	var text string
	if len(data) == 0 || data[0] != '"' {
		return "", fmt.Errorf("%s is not a text", data)
	}
	err := json.Unmarshal(data, &text)
	return text, err
}
