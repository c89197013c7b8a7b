// Package safetext makes text that others can influence harmless for the terminal that shows it.
//
// What a program prints, or whoever chose a name, could otherwise clear the screen, move the cursor
// over what was said before, set the title or the clipboard (OSC 0, 52), or show text in another
// order than it is in (bidirectional overrides). Such characters are shown as what they are: \x1b,
// \u202e. Colours (SGR, ECMA-48 8.3.117) are for people and may pass, up to the end of the line.
package safetext

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Plain returns s with everything visible that is not plain text, colours too, but for tabs. What s
// looks like depends on nothing else.
func Plain(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	return string(appendText(nil, []byte(s), nil))
}

// AppendLine appends a line, or a piece of one, without its newline. Colours pass, and are taken
// back at its end; so does a carriage return there, which a program in a terminal of its own writes
// before each newline.
func AppendLine(dst, line []byte) []byte {
	var c colour
	dst = appendText(dst, bytes.TrimSuffix(line, []byte("\r")), &c)
	return c.end(dst)
}

// Writer writes to w what is harmless of the texts that it is given, each whole. Lines stay lines,
// and no colour passes the end of one. Its owner may write to w directly what is to act on the
// terminal. Any goroutine may write.
func Writer(w io.Writer) io.Writer { return &writer{w: w} }

type writer struct {
	mu sync.Mutex
	w  io.Writer
	c  colour
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]byte, 0, len(p)+16)
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		out = appendText(out, line, &w.c)
		if ended {
			out = append(w.c.end(out), '\n')
		}
		rest = after
	}
	if _, err := w.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// colour remembers whether something is to be taken back.
type colour struct{ on bool }

const reset = "\x1b[0m"

func (c *colour) end(dst []byte) []byte {
	if c.on {
		c.on, dst = false, append(dst, reset...)
	}
	return dst
}

// appendText appends text. Without a colour none passes.
func appendText(dst, text []byte, c *colour) []byte {
	for at := 0; at < len(text); {
		b := text[at]
		if b >= ' ' && b < 0x7f || b == '\t' {
			dst = append(dst, b)
			at++
			continue
		}
		if n := sgr(text[at:]); n > 0 && c != nil {
			sequence := text[at : at+n]
			c.on = !isReset(sequence)
			dst = append(dst, sequence...)
			at += n
			continue
		}
		r, n := utf8.DecodeRune(text[at:])
		switch {
		case r == utf8.RuneError && n == 1, r < utf8.RuneSelf:
			dst = fmt.Appendf(dst, `\x%02x`, b)
		case hidden(r):
			dst = appendHidden(dst, r)
		default:
			dst = append(dst, text[at:at+n]...)
		}
		at += n
	}
	return dst
}

// appendHidden writes a character as JSON does, so that what is JSON stays it.
func appendHidden(dst []byte, r rune) []byte {
	if r > 0xffff {
		return fmt.Appendf(dst, `\u{%x}`, r)
	}
	return fmt.Appendf(dst, `\u%04x`, r)
}

// hidden says whether a character is none that is simply shown: control characters, those that
// change the direction or the order of others (Unicode TR9, and "Trojan Source"), those that
// separate lines, and tags, which are invisible text.
func hidden(r rune) bool {
	switch {
	case r == '\t':
		return false
	case r < 0xa0:
		return unicode.IsControl(r)
	case r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e,
		r >= 0x2066 && r <= 0x206f, r == 0xfeff:
		return true
	}
	return r >= 0xfff9 && r <= 0xfffb || r >= 0xe0000 && r <= 0xe0fff
}

// maxSGR is more than the longest colours have, "\x1b[38;2;255;255;255;48;2;255;255;255m" and a
// style or two.
const maxSGR = 64

// sgr returns the length of the "select graphic rendition" that text begins with, 0 if it begins
// with anything else.
func sgr(text []byte) int {
	if len(text) < 3 || text[0] != 0x1b || text[1] != '[' {
		return 0
	}
	for i := 2; i < len(text) && i < maxSGR; i++ {
		switch b := text[i]; {
		case b == 'm':
			return i + 1
		case b >= '0' && b <= '9', b == ';', b == ':':
		default:
			return 0
		}
	}
	return 0
}

// isReset says whether a sequence takes everything back. One that does so among other things need
// not be found out.
func isReset(sequence []byte) bool {
	return len(bytes.Trim(sequence[2:len(sequence)-1], "0")) == 0
}
