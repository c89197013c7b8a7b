// Package layout says how a service's log files are named, so that who writes them and who reads
// them agree.
//
// The current file has the name the user gave, BASE. A rotated one is
// BASE.20261121T024830.123456Z: the moment of its rotation in UTC, so names sort as the files
// were written and every line in a file is at most as late as its name. Compression appends
// .gz or .zst.
package layout

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

const stampForm = "20060102T150405.000000Z"

// Tmp ends the name of a file that is still being compressed.
const Tmp = ".tmp"

// Compression is how a rotated file is kept.
type Compression uint8

// The kinds of compression.
const (
	None Compression = iota
	Gzip
	Zstd
)

// Ext returns what the compression appends to a name.
func (c Compression) Ext() string {
	return [...]string{"", ".gz", ".zst"}[c]
}

// Rotated is one rotated file of a log.
type Rotated struct {
	Path        string
	Time        time.Time // of the rotation, in UTC
	Compression Compression
}

// Name returns the uncompressed name of the log base rotated at t, to the microsecond.
func Name(base string, t time.Time) string {
	return base + "." + t.UTC().Format(stampForm)
}

// Parse takes a rotated file's path apart into the path of its log and what the name says. What is
// not such a name is not ok.
func Parse(path string) (base string, r Rotated, ok bool) {
	r.Path = path
	rest := path
	for _, c := range []Compression{Gzip, Zstd} {
		if s, found := strings.CutSuffix(rest, c.Ext()); found {
			rest, r.Compression = s, c
			break
		}
	}
	i := len(rest) - len(stampForm)
	if i < 2 || rest[i-1] != '.' || rest[i-2] == '/' {
		return "", Rotated{}, false
	}
	t, err := time.Parse(stampForm, rest[i:])
	if err != nil {
		return "", Rotated{}, false
	}
	r.Time = t
	return rest[:i-1], r, true
}

// List returns the rotated files of the log at path, the oldest first. A file that is there both
// compressed and not (a compression was interrupted just before its end) is listed once,
// uncompressed. A missing directory holds none.
func List(path string) ([]Rotated, error) {
	all, err := Dir(filepath.Dir(path))
	return all[filepath.Clean(path)], err
}

// mostScans bounds how often a directory is read in which files come and go all the time.
const mostScans = 20

// Dir returns the rotated files in dir by the path of their log, each as List does.
//
// A large directory is read in several steps (getdents64(2)), between which a compression may end:
// its new name can be where the reading has been, and the old one where it has not come to yet. So
// it is read until it shows the same files twice.
func Dir(dir string) (all map[string][]Rotated, err error) {
	var before map[string]bool
	for range mostScans {
		var files map[string]bool
		if all, files, err = scan(dir); err != nil || maps.Equal(files, before) {
			return all, err
		}
		before = files
	}
	return all, nil
}

// scan reads dir once. files are what there is, whether compressed or not.
func scan(dir string) (all map[string][]Rotated, files map[string]bool, err error) {
	names, err := readNames(dir)
	if err != nil {
		return nil, nil, err
	}
	all, files = make(map[string][]Rotated), make(map[string]bool)
	for _, n := range names {
		if base, r, ok := Parse(filepath.Join(dir, n)); ok {
			all[base] = append(all[base], r)
			files[base+r.Time.Format(stampForm)] = true
		}
	}
	for base, list := range all {
		slices.SortFunc(list, func(a, b Rotated) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Compression, b.Compression))
		})
		all[base] = slices.CompactFunc(list,
			func(a, b Rotated) bool { return a.Time.Equal(b.Time) })
	}
	return all, files, nil
}

// Open opens a log file, current or rotated, for reading. What is not a regular file is refused,
// and so is what somebody else than root or us may have planted: who may write to a log's directory
// must not have us read another file.
func Open(path string) (*os.File, error) {
	f, _, err := sys.OpenTrusted(path, sys.TrustedOpen{Regular: true, Single: true})
	return f, err
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
