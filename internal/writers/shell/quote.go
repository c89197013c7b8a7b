// Package shell writes words and scripts for the POSIX shell, for the targets whose services are
// scripts.
package shell

import (
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// plain are the bytes that no shell acts upon, wherever they stand. "=" is not
// among them, for a first word A=B is an assignment.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./-"

// Quote returns a word that every POSIX shell reads as text, byte for byte. The
// text has no NUL in it.
func Quote(text string) string {
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Join quotes each word and puts blanks between.
func Join(words ...string) string { return strings.Join(writers.Each(words, Quote), " ") }
