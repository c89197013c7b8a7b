package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/daemonry/daemonry/internal/sys"
)

// journalVersion is the version of the journal. A supervisor reads its own version and the one
// before: version 1 had no second line, and named no directory.
const journalVersion = 2

// Head says what the pids in a journal mean.
type Head struct {
	Version   int    `json:"version"`
	Boot      string `json:"boot"`                   // sys.BootID
	Namespace uint64 `json:"pid_namespace,omitzero"` // inode number of /proc/self/ns/pid
	Init      uint64 `json:"init,omitzero"`          // start time of its process 1
	User      int    `json:"user"`                   // effective
	PID       int    `json:"supervisor"`             // for people
	Runtime   string `json:"runtime,omitzero"`       // of the journal; in the owner's file alone
	// Device and Inode are those of the directory that it is in, which no copy of it has.
	Device uint64 `json:"device,omitzero"`
	Inode  uint64 `json:"inode,omitzero"`
}

// NewHead is that of a journal of ours. Without a boot id no process can be named for ever:
// [errors.ErrUnsupported].
func NewHead() (Head, error) {
	boot, err := sys.BootID()
	if err != nil {
		return Head{}, err
	}
	h := Head{Version: journalVersion, Boot: boot, User: os.Geteuid(), PID: os.Getpid()}
	h.Namespace = sys.PIDNamespace()
	if stat, err := sys.ReadStat(1); err == nil { // proc(5), hidepid: others' may be hidden
		h.Init = stat.StartTime
	}
	return h, nil
}

// in is the head of a journal in dir.
func (h Head) in(dir string) Head {
	if info, err := os.Stat(dir); err == nil {
		id := sys.FileIDOf(info)
		h.Device, h.Inode = id.Device, id.Inode
	}
	return h
}

// spoiltError is a file that nobody will ever be able to read, and that had something to say.
type spoiltError struct{ error }

func (e *spoiltError) Unwrap() error { return e.error }

// Why a journal is not for this supervisor.
var (
	errNewer = errors.New("written by a newer version")
	errPast  = errors.New("its processes are gone")
	errCopy  = errors.New("a copy of another supervisor's")
)

func newerError(version, ours int) error {
	return fmt.Errorf("version %d, and this program reads %d: %w", version, ours, errNewer)
}

// fits says what keeps a journal with this head from being used here.
func (h Head) fits(here Head) error {
	switch {
	case h.Version > journalVersion:
		return newerError(h.Version, journalVersion)
	case h.Version < 1:
		const text = "written in version %d, and this program reads %d"
		return &spoiltError{fmt.Errorf(text, h.Version, journalVersion)}
	case h.Boot != here.Boot:
		return fmt.Errorf("of another boot or another machine: %w", errPast)
	case h.Namespace != here.Namespace, h.Init != here.Init && h.Init != 0 && here.Init != 0:
		const text = "of another pid namespace: its processes have other numbers here: %w"
		return fmt.Errorf(text, errPast)
	case h.User != here.User:
		return &spoiltError{fmt.Errorf("of user %d, and this is user %d", h.User, here.User)}
	case h.Inode != 0 && (h.Inode != here.Inode || h.Device != here.Device):
		return fmt.Errorf("made in another directory: %w", errCopy)
	}
	return nil
}

// journalMost bounds what is read of a journal: ten thousand services with long descriptions take a
// tenth of it.
const journalMost = 256 << 20

func (c *Found[R]) fault(err error) {
	c.Faults = append(c.Faults, err)
	if c.Unsure == nil {
		c.Unsure = map[string]bool{}
	}
	for name := range c.Records {
		c.Unsure[name] = true
	}
}

func (c *Found[R]) add(r R) {
	delete(c.Unsure, r.Of())
	if c.Records[r.Of()] = r; r.Forgotten() {
		delete(c.Records, r.Of())
	}
}

// readJournal reads a journal. An error says why the file as a whole is refused; one that is not
// there is [fs.ErrNotExist].
func readJournal[R Record](path string, here Head) (Found[R], error) {
	data, err := readOurs(path)
	if err != nil {
		return Found[R]{}, err
	}
	first, rest, ok := bytes.Cut(data, []byte{'\n'})
	var head Head
	if !ok {
		return Found[R]{}, &spoiltError{fmt.Errorf("%s: cut short", path)}
	}
	if err := parseLine(first, &head); err != nil {
		return Found[R]{}, &spoiltError{fmt.Errorf("%s: line 1: %w", path, err)}
	}
	if err := head.fits(here.in(filepath.Dir(path))); err != nil {
		return Found[R]{}, fmt.Errorf("%s: %w", path, err)
	}
	c := Found[R]{Records: map[string]R{}}
	length, line := int64(0), 2
	if head.Version > 1 {
		if length, err = parseLength(rest); err != nil {
			return Found[R]{}, &spoiltError{fmt.Errorf("%s: line 2: %w", path, err)}
		}
		rest, line = rest[lengthSize:], 3
	}
	c.read(path, line, rest)
	if missing := length - int64(len(data)); missing > 0 {
		c.fault(fmt.Errorf("%s: %d bytes are missing at its end", path, missing))
	}
	return c, nil
}

// read takes in the lines of records, of which the first is that number of the file.
func (c *Found[R]) read(path string, number int, rest []byte) {
	for ; ; number++ {
		line, more, ok := bytes.Cut(rest, []byte{'\n'})
		if !ok {
			return // what is left is a line that was being written
		}
		rest = more
		var r R
		if err := parseLine(line, &r); err != nil {
			c.fault(fmt.Errorf("%s: line %d: %w", path, number, err))
			continue
		}
		c.add(r)
	}
}

func parseLength(rest []byte) (int64, error) {
	if len(rest) < lengthSize || rest[lengthSize-1] != '\n' {
		return 0, errors.New("not a length")
	}
	return strconv.ParseInt(string(rest[:lengthSize-1]), 16, 64)
}

// readOurs reads a file that nobody but us can have written.
func readOurs(path string) (_ []byte, err error) {
	f, _, err := sys.OpenTrusted(path, sys.TrustedOpen{Flags: os.O_RDONLY, Regular: true})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner, links, err := sys.FileOwner(info)
	switch mode := info.Mode().Perm(); {
	case err != nil:
		return nil, err
	case owner.UID != os.Geteuid():
		err = fmt.Errorf("%s: it belongs to user %d: %w", path, owner.UID, sys.ErrInsecure)
	case mode&0o077 != 0:
		const text = "%s: others have access to it (mode %04o): %w"
		err = fmt.Errorf(text, path, mode, sys.ErrInsecure)
	case links > 1:
		err = fmt.Errorf("%s: it has %d names: %w", path, links, sys.ErrInsecure)
	}
	if err != nil {
		return nil, &spoiltError{err}
	}
	data, err := io.ReadAll(io.LimitReader(f, journalMost+1))
	if err == nil && len(data) > journalMost {
		err = &spoiltError{fmt.Errorf("%s: larger than %d bytes", path, journalMost)}
	}
	return data, err
}
