package account

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
)

// haveFiles says whether this system has such files at all.
const haveFiles = runtime.GOOS != "windows" && runtime.GOOS != "plan9" && runtime.GOOS != "js" &&
	runtime.GOOS != "wasip1"

// maxLine bounds a line: there is room for 100,000 members of a group in one.
const maxLine = 1 << 20

// blanks are those of isspace(3), without the end of a line.
const blanks = " \t\v\f\r"

// eachLine calls f for each line of a file that is neither empty nor a comment, without the blanks
// before it, until f returns false.
func eachLine(path string, f func(n int, line string) (on bool)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Buffer(make([]byte, 4096), maxLine)
	s.Split(splitLines)
	n := 0
	for s.Scan() {
		n++
		line := bytes.TrimLeft(s.Bytes(), blanks)
		if len(line) > 0 && line[0] != '#' && !f(n, string(line)) {
			return nil
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("%s, line %d: longer than %d bytes", path, n+1, maxLine)
	}
	return s.Err()
}

// splitLines is bufio.ScanLines that takes a carriage return for what it is: the C library does,
// too.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// unlessMissing is err, but nil if err says that there is no file: a container may have none.
func unlessMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}

// sources reads nsswitch.conf(5): who besides the files is to be asked for a database, and whether
// the files are read in the way in which their "+" and "-" lines mean NIS. That is how the BSDs
// read them if nothing else is said.
func sources(path, database string) (others []string, compat bool, err error) {
	said := false
	err = eachLine(path, func(_ int, line string) bool {
		line, _, _ = strings.Cut(line, "#")
		name, list, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != database {
			return true
		}
		said = true
		for _, source := range strings.Fields(withoutActions(list)) {
			switch {
			case source == "compat":
				compat = true
			case source == "files" || source == "cache" || slices.Contains(others, source):
			default:
				others = append(others, source)
			}
		}
		return true
	})
	if !said && runtime.GOOS != "linux" {
		compat = true
	}
	return others, compat, unlessMissing(err)
}

// withoutActions cuts out what is between brackets: "[NOTFOUND=return]".
func withoutActions(list string) string {
	for {
		before, rest, found := strings.Cut(list, "[")
		if !found {
			return list
		}
		_, after, _ := strings.Cut(rest, "]")
		list = before + " " + after
	}
}
