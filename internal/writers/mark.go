package writers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// markText begins the line by which a file is known as ours. The sum behind it
// is that of the rest of the file, so that one sees whether a person has
// changed it since.
const markText = "written by daemonry, sha256 "

// Origin is who wrote a file.
type Origin int

const (
	// Foreign files have no mark: they are somebody's own.
	Foreign Origin = iota
	// Changed files are ours, with changes by others.
	Changed
	// Ours is as we wrote it.
	Ours
)

// OriginOf reads the mark of a file.
func OriginOf(content []byte) Origin {
	lines := bytes.SplitAfter(content, []byte("\n"))
	for i, line := range lines[:min(2, len(lines))] {
		_, sum, ok := strings.Cut(string(line), markText)
		if !ok {
			continue
		}
		if sum, _, _ = strings.Cut(strings.TrimSpace(sum), " "); sum == sumOf(bytes.Join(slices.Delete(lines, i, i+1), nil)) {
			return Ours
		}
		return Changed
	}
	return Foreign
}

// seal puts the mark in the first line, or in the second if the first one is
// "#!…" or "<?xml…", which must stay first.
func seal(content []byte, comment func(string) string) []byte {
	at := 0
	if bytes.HasPrefix(content, []byte("#!")) || bytes.HasPrefix(content, []byte("<?xml")) {
		at = bytes.IndexByte(content, '\n') + 1
	}
	return slices.Insert(slices.Clone(content), at, []byte(comment(markText+sumOf(content))+"\n")...)
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Hash makes the comment of most formats.
func Hash(text string) string { return "# " + text }
