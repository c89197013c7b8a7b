package spec

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// RlimitName is a resource of setrlimit(2) in lower case without "RLIMIT_".
type RlimitName string

// rlimitNames tells which of them count bytes, so take a [ByteSize].
var rlimitNames = map[RlimitName]bool{
	"as": true, "core": true, "cpu": false, "data": true, "fsize": true, "locks": false,
	"memlock":  true,
	"msgqueue": true, "nice": false, "nofile": false, "nproc": false, "rss": true, "rtprio": false,
	"rttime": false, "sigpending": false, "stack": true,
}

// RlimitNames returns all names, sorted. Not every system has every one.
func RlimitNames() []RlimitName { return slices.Sorted(maps.Keys(rlimitNames)) }

// ParseRlimitName reads "nofile", "NOFILE" or "RLIMIT_NOFILE".
func ParseRlimitName(text string) (RlimitName, error) {
	name := RlimitName(strings.TrimPrefix(strings.ToLower(text), "rlimit_"))
	if _, ok := rlimitNames[name]; !ok {
		return "", hintf("one of "+joinTexts(RlimitNames()), "%q is not a resource limit", text)
	}
	return name, nil
}

// UnmarshalText is ParseRlimitName.
func (n *RlimitName) UnmarshalText(text []byte) error { return parseInto(n, text, ParseRlimitName) }

// Unlimited is the limit that is none (RLIM_INFINITY).
const Unlimited uint64 = math.MaxUint64

// Rlimit is a resource limit, written "SOFT:HARD" or one value for both. A
// value is a number, a [ByteSize] with unit, or "unlimited". The numbers are
// in the unit of setrlimit(2).
type Rlimit struct {
	Soft, Hard uint64
}

// ParseRlimit reads the text form.
func ParseRlimit(text string) (Rlimit, error) {
	soft, hard, both := strings.Cut(text, ":")
	if !both {
		hard = soft
	}
	low, err := parseLimit(soft)
	if err != nil {
		return Rlimit{}, err
	}
	high, err := parseLimit(hard)
	if err != nil {
		return Rlimit{}, err
	}
	if low > high {
		return Rlimit{}, hintf("write SOFT:HARD", "soft limit %s is above hard limit %s",
			soft, hard)
	}
	return Rlimit{low, high}, nil
}

func parseLimit(text string) (uint64, error) {
	if text == "unlimited" || text == "infinity" {
		return Unlimited, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	if b, err := ParseByteSize(text); err == nil {
		return uint64(b), nil
	}
	return 0, hintf(`write a number, a size as "64MiB", or "unlimited"`, "%q is not a limit", text)
}

// String returns what ParseRlimit reads back.
func (l Rlimit) String() string {
	if l.Soft == l.Hard {
		return limitText(l.Soft)
	}
	return limitText(l.Soft) + ":" + limitText(l.Hard)
}

func limitText(n uint64) string {
	if n == Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// MarshalText returns [Rlimit.String].
func (l Rlimit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is ParseRlimit.
func (l *Rlimit) UnmarshalText(text []byte) error { return parseInto(l, text, ParseRlimit) }

// UnmarshalJSON takes the text or a number for both limits.
func (l *Rlimit) UnmarshalJSON(data []byte) error { return l.UnmarshalText(textOrNumber(data)) }

// joinTexts lists names for people.
func joinTexts[T ~string](names []T) string { return strings.Join(texts(names...), ", ") }
