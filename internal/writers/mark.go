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
// changed it since; after it stands the service that the file is for.
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

// ReadMark reads the mark of a file, and the name of the service that the file
// was written for; "" if the file is foreign.
func ReadMark(content []byte) (Origin, string) {
	lines := bytes.SplitAfter(content, []byte("\n"))
	for i, line := range lines[:min(2, len(lines))] {
		_, rest, ok := strings.Cut(string(line), markText)
		if !ok {
			continue
		}
		words := append(strings.Fields(rest), "", "", "")
		service := ""
		if words[1] == "for" {
			service = unmarkName(words[2])
		}
		if words[0] == sumOf(bytes.Join(slices.Delete(lines, i, i+1), nil)) {
			return Ours, service
		}
		return Changed, service
	}
	return Foreign, ""
}

// A comment of XML must not contain "--", which the name of a service may.
func markName(service string) string   { return strings.ReplaceAll(service, "--", "-%2D") }
func unmarkName(service string) string { return strings.ReplaceAll(service, "%2D", "-") }

// Seal puts the mark of a service's file in the first line, or in the second if
// the first one is "#!…" or "<?xml…", which must stay first.
func Seal(content []byte, service string, comment func(string) string) []byte {
	at := 0
	if bytes.HasPrefix(content, []byte("#!")) || bytes.HasPrefix(content, []byte("<?xml")) {
		at = bytes.IndexByte(content, '\n') + 1
	}
	return slices.Insert(slices.Clone(content), at,
		[]byte(comment(markText+sumOf(content)+" for "+markName(service))+"\n")...)
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Hash makes the comment of most formats.
func Hash(text string) string { return "# " + text }
