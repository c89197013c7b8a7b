package line

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

func (w *Writer) json(dst, p []byte, end bool) []byte {
	dst = append(dst, w.start...)
	if utf8.Valid(p) {
		dst = append(dst, `"line":"`...)
		dst = appendEscaped(dst, p)
	} else {
		dst = append(dst, `"bytes":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, p)
	}
	if !end {
		return append(dst, "\",\"partial\":true}\n"...)
	}
	return append(dst, "\"}\n"...)
}

const hex = "0123456789abcdef"

// appendEscaped appends valid UTF-8 as the inside of a JSON string (RFC 8259, section 7).
func appendEscaped(dst, p []byte) []byte {
	for len(p) > 0 {
		n := plain(p)
		dst = append(dst, p[:n]...)
		if n == len(p) {
			break
		}
		switch c := p[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		p = p[n+1:]
	}
	return dst
}

// plain returns how many bytes at the start of p need no escape, eight at a time where it can.
func plain(p []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	// a high bit for each byte that is 0, and perhaps for some above it
	zero := func(v uint64) uint64 { return (v - ones) & ^v & highs }
	i := 0
	for ; i+8 <= len(p); i += 8 {
		v := binary.LittleEndian.Uint64(p[i:])
		control := (v - ones*0x20) & ^v & highs // bytes below 0x20
		if control|zero(v^ones*'"')|zero(v^ones*'\\') != 0 {
			break
		}
	}
	for i < len(p) && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' {
		i++
	}
	return i
}

// Cut returns how much of the piece p, the beginning of a longer line, to write now, so that no
// character of UTF-8 is cut in two: its length or up to three bytes less.
func Cut(p []byte) int {
	for i := 1; i < utf8.UTFMax && i < len(p); i++ {
		c := p[len(p)-i]
		if c < utf8.RuneSelf {
			break
		}
		if utf8.RuneStart(c) {
			if !utf8.FullRune(p[len(p)-i:]) {
				return len(p) - i
			}
			break
		}
	}
	return len(p)
}
