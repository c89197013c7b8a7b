package notify

import (
	"strconv"
	"strings"
	"time"
)

// parseUsec reads microseconds; what time.Duration cannot hold becomes Forever.
func parseUsec(value string) (d time.Duration, problem string) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, "not a number of microseconds"
	}
	return time.Duration(min(n, uint64(Forever/time.Microsecond))) * time.Microsecond, ""
}

// formatUsec rounds up: a positive time must not become 0, which has a meaning of
// its own, nor a deadline come sooner than was asked for.
func formatUsec(d time.Duration) string {
	usec := int64(d / time.Microsecond)
	if d%time.Microsecond > 0 && d < Forever {
		usec++
	}
	if d < 0 {
		return d.String() // no number of microseconds: Encode refuses it
	}
	return strconv.FormatInt(usec, 10)
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func isAccess(s string) bool {
	return s == "none" || s == "main" || s == "exec" || s == "all"
}

// validFDName is the rule of sd_notify(3) for FDNAME=.
func validFDName(s string) bool {
	return len(s) <= 255 && printable(s) && !strings.Contains(s, ":")
}

// quoteShort quotes what a stranger sent for a log line.
func quoteShort(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
