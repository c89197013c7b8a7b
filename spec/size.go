package spec

import (
	"math/big"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, written with a unit: "64MiB" is 64 × 2²⁰,
// "10MB" is 10 × 10⁶, "512B" is 512. A JSON or TOML integer counts bytes.
type ByteSize int64

var byteUnits = []struct {
	name string
	size ByteSize
}{
	{"EiB", 1 << 60}, {"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"EB", 1e18}, {"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
	{"kB", 1e3}, {"B", 1},
}

// ParseByteSize reads the text form. A fraction is allowed where it makes a
// whole number of bytes.
func ParseByteSize(text string) (ByteSize, error) {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		number = strings.TrimSuffix(number, " ")
		// A big.Rat of a long exponent takes memory without end.
		if number == "" || len(number) > 32 || strings.Trim(number, "0123456789.") != "" {
			break
		}
		r, ok := new(big.Rat).SetString(number)
		if !ok {
			break
		}
		r.Mul(r, new(big.Rat).SetInt64(int64(u.size)))
		if !r.IsInt() {
			return 0, hintf("", "%q is not a whole number of bytes", text)
		}
		if !r.Num().IsInt64() {
			return 0, hintf("", "size %q is too large", text)
		}
		return ByteSize(r.Num().Int64()), nil
	}
	return 0, hintf(byteHint(text), "%q is not a size", text)
}

// byteHint tells apart what "64M" leaves open.
func byteHint(text string) string {
	if text != "" {
		number, unit := text[:len(text)-1], strings.ToUpper(text[len(text)-1:])
		_, err := strconv.ParseFloat(number, 64)
		if err == nil && strings.Contains("KMGTPE", unit) {
			return "write " + strconv.Quote(number+unit+"iB") + " (powers of 1024) or " +
				strconv.Quote(number+unit+"B") + " (powers of 1000)"
		}
	}
	return `write it like "64MiB", "10MB" or "512B"`
}

// String returns the text with the unit that leaves the smallest whole number.
func (b ByteSize) String() string {
	number, name := b, "B"
	for _, u := range byteUnits {
		if b%u.size == 0 && b/u.size < number {
			number, name = b/u.size, u.name
		}
	}
	return strconv.FormatInt(int64(number), 10) + name
}

// MarshalText returns [ByteSize.String].
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText is ParseByteSize.
func (b *ByteSize) UnmarshalText(text []byte) error { return parseInto(b, text, ParseByteSize) }

// UnmarshalJSON takes the text or a number of bytes.
func (b *ByteSize) UnmarshalJSON(data []byte) error {
	if text, err := jsonText(data); err == nil {
		return b.UnmarshalText([]byte(text))
	}
	n, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil || n < 0 {
		return hintf(`write it like "64MiB", "10MB" or 512`, "%s is not a size", data)
	}
	*b = ByteSize(n)
	return nil
}

// Mode is a file mode or umask, written as an octal text: "0640". A bare
// number is refused, for 640 and 0o640 are not the same.
type Mode uint32

// maxMode has every permission and the set-user-ID, set-group-ID, sticky bits.
const maxMode = 0o7777

// ParseMode reads the text form.
func ParseMode(text string) (Mode, error) {
	digits := strings.TrimPrefix(text, "0o")
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || n > maxMode || len(text) > 6 || strings.ContainsAny(text, "+-_") {
		return 0, hintf(`write it like "0640"`, "%q is not an octal file mode", text)
	}
	return Mode(n), nil
}

// String returns four octal digits.
func (m Mode) String() string {
	s := strconv.FormatUint(uint64(m), 8)
	return strings.Repeat("0", max(0, 4-len(s))) + s
}

// MarshalText returns [Mode.String].
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is ParseMode.
func (m *Mode) UnmarshalText(text []byte) error { return parseInto(m, text, ParseMode) }

// UnmarshalJSON refuses a number with the text it should have been.
func (m *Mode) UnmarshalJSON(data []byte) error {
	text, err := jsonText(data)
	if err != nil {
		return hintf(`write it like "0640"`, "a file mode is an octal text")
	}
	return m.UnmarshalText([]byte(text))
}
