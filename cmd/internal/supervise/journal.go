package supervise

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/internal/sys"
)

// journalVersion is the version of the file below. A supervisor reads its own version and the one
// before: version 1 had no second line, and named no directory.
const journalVersion = 2

// journal is the file that holds the records of all services: a head, how long it is, then records,
// of which the last for a service counts. It is made whole (package atomicfile), and appended to by
// one write(2) for any number of records, so that a thousand services that start cost a few writes.
// It is not synced: it means nothing after a reboot.
//
// A line is a checksum, a space and JSON. A writer that is killed within write(2) leaves a last
// line without its end, which readers pass over; every other line that is not right is a fault, and
// said to be one. The length, which is written after what it counts, tells such a line from a file
// that somebody has cut.
type journal struct {
	path    string
	head    journalHead
	f       *os.File // nil: to be made anew
	size    int64
	length  int64             // where the length is written
	made    int64             // its size when it was made
	written map[string]uint64 // checksum of each service's last line
	ballast *ballast          // may be nil
}

// journalHead says what the pids in the records mean.
type journalHead struct {
	Version   int    `json:"version"`
	Boot      string `json:"boot"`                   // sys.BootID
	Namespace uint64 `json:"pid_namespace,omitzero"` // inode number of /proc/self/ns/pid
	Init      uint64 `json:"init,omitzero"`          // start time of its process 1: a number is given again
	User      int    `json:"user"`                   // effective
	PID       int    `json:"supervisor"`             // for people
	Runtime   string `json:"runtime,omitzero"`       // where the journal is; in the owner's file alone
	// Device and Inode are those of the directory that it is in, which no copy of it has.
	Device uint64 `json:"device,omitzero"`
	Inode  uint64 `json:"inode,omitzero"`
}

func newJournalHead() (journalHead, error) {
	boot, err := sys.BootID()
	if err != nil {
		return journalHead{}, err
	}
	h := journalHead{Version: journalVersion, Boot: boot, User: os.Geteuid(), PID: os.Getpid()}
	if info, err := os.Stat("/proc/self/ns/pid"); err == nil { // CONFIG_PID_NS; without, there is one
		h.Namespace = sys.FileIDOf(info).Inode
	}
	if stat, err := sys.ReadStat(1); err == nil { // proc(5), hidepid: others' may be hidden
		h.Init = stat.StartTime
	}
	return h, nil
}

// in is the head of a journal in dir.
func (h journalHead) in(dir string) journalHead {
	if info, err := os.Stat(dir); err == nil {
		id := sys.FileIDOf(info)
		h.Device, h.Inode = id.Device, id.Inode
	}
	return h
}

// checksum tells a line that was damaged, and one that says what was said before.
func checksum(data []byte) uint64 {
	sum := sha256.Sum256(data)
	return binary.BigEndian.Uint64(sum[:])
}

// appendLine adds v as a line to b and returns its checksum as well.
func appendLine(b []byte, v any) ([]byte, uint64, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return b, 0, err
	}
	sum := checksum(data)
	b = fmt.Appendf(b, "%016x ", sum)
	b = append(b, data...)
	return append(b, '\n'), sum, nil
}

// parseLine is appendLine backwards, without the newline.
func parseLine(line []byte, v any) error {
	sum, data, ok := bytes.Cut(line, []byte{' '})
	want, err := strconv.ParseUint(string(sum), 16, 64)
	if !ok || err != nil || len(sum) != 16 {
		return errors.New("not a record")
	}
	if checksum(data) != want {
		return errors.New("the checksum is wrong")
	}
	return json.Unmarshal(data, v)
}

// roomToGrow is by how much a journal may grow beyond twice its size before it is made anew.
const roomToGrow = 1 << 20

// grown says whether the file is worth being made anew, with all there is in it.
func (j *journal) grown() bool {
	if j.ballast != nil && j.ballast.given { // a new one needs room, which the old one must not have used up
		return j.f == nil || j.size > 2*j.made+int64(j.ballast.size)/4
	}
	return j.f == nil || j.size > 2*j.made+roomToGrow
}

// write adds what has changed to the journal, or makes it anew of all records.
func (j *journal) write(list []record, all bool) error {
	if all {
		return j.replace(list)
	}
	return j.append(list)
}

func (j *journal) append(list []record) error {
	var b []byte
	for _, r := range list {
		longer, sum, err := appendLine(b, r)
		if err != nil {
			return fmt.Errorf("record of %s: %w", r.Name, err)
		}
		if j.written[r.Name] == sum {
			continue
		}
		b, j.written[r.Name] = longer, sum
		if r.Gone {
			delete(j.written, r.Name)
		}
	}
	if len(b) == 0 {
		return nil
	}
	err := j.ballast.spare(func() error {
		_, err := j.f.WriteAt(b, j.size)
		return err
	})
	if err == nil {
		j.size += int64(len(b))
		_, err = j.f.WriteAt(lengthLine(j.size), j.length)
	}
	if err != nil { // whatever is there now, only a new file is right
		return errors.Join(err, j.close())
	}
	return nil
}

// lengthLine is the second line of a journal of so many bytes. It is always as long.
func lengthLine(n int64) []byte { return fmt.Appendf(nil, "%016x\n", n) }

const lengthSize = 17

// replace makes the file anew, of all records.
func (j *journal) replace(list []record) error {
	if err := j.close(); err != nil {
		return err
	}
	written := make(map[string]uint64, len(list))
	b, _, err := appendLine(nil, j.head.in(filepath.Dir(j.path)))
	length := int64(len(b))
	b = append(b, lengthLine(0)...)
	for i := 0; i < len(list) && err == nil; i++ {
		b, written[list[i].Name], err = appendLine(b, list[i])
	}
	if err != nil {
		return err
	}
	copy(b[length:], lengthLine(int64(len(b))))
	err = j.ballast.spare(func() error { return atomicfile.WriteForBoot(j.path, b, 0o600) })
	if isFull(err) {
		// The old one takes room, and is not right any more: services that live would be ended by
		// what it says. Without one they are found by what they hold.
		if rmErr := os.Remove(j.path); rmErr == nil {
			err = atomicfile.WriteForBoot(j.path, b, 0o600)
		}
	}
	if err != nil {
		return err
	}
	_ = j.ballast.fill() // if there is room again
	f, err := os.OpenFile(j.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	j.f, j.length, j.size, j.made, j.written = f, length, int64(len(b)), int64(len(b)), written
	return nil
}

func (j *journal) close() error {
	if j.f == nil {
		return nil
	}
	f := j.f
	j.f = nil
	return f.Close()
}

// journalMost bounds what is read of a journal: ten thousand services with long descriptions take a
// tenth of it.
const journalMost = 256 << 20

// content is what a journal says.
type content struct {
	records map[string]record
	faults  []error // what is in it, or missing, that cannot be used
	// unsure are the records after which something could not be read: it may have been said anew
	// what they say.
	unsure map[string]bool
}

func (c *content) fault(err error) {
	c.faults = append(c.faults, err)
	if c.unsure == nil {
		c.unsure = map[string]bool{}
	}
	for name := range c.records {
		c.unsure[name] = true
	}
}

func (c *content) add(r record) {
	delete(c.unsure, r.Name)
	if c.records[r.Name] = r; r.Gone {
		delete(c.records, r.Name)
	}
}

// readJournal reads a journal. An error says why the file as a whole is refused; one that is not
// there is [fs.ErrNotExist].
func readJournal(path string, here journalHead) (content, error) {
	data, err := readOurs(path)
	if err != nil {
		return content{}, err
	}
	first, rest, ok := bytes.Cut(data, []byte{'\n'})
	var head journalHead
	if !ok {
		return content{}, &spoiltError{fmt.Errorf("%s: cut short", path)}
	}
	if err := parseLine(first, &head); err != nil {
		return content{}, &spoiltError{fmt.Errorf("%s: line 1: %w", path, err)}
	}
	if err := head.fits(here.in(filepath.Dir(path))); err != nil {
		return content{}, fmt.Errorf("%s: %w", path, err)
	}
	c := content{records: map[string]record{}}
	length, line := int64(0), 2
	if head.Version > 1 {
		if length, err = parseLength(rest); err != nil {
			return content{}, &spoiltError{fmt.Errorf("%s: line 2: %w", path, err)}
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
func (c *content) read(path string, number int, rest []byte) {
	for ; ; number++ {
		line, more, ok := bytes.Cut(rest, []byte{'\n'})
		if !ok {
			return // what is left is a line that was being written
		}
		rest = more
		var r record
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

// spoiltError is a file that nobody will ever be able to read, and that had something to say.
type spoiltError struct{ error }

func (e *spoiltError) Unwrap() error { return e.error }

// Why a journal is not for this supervisor.
var (
	errNewer = errors.New("written by a newer version")
	errPast  = errors.New("its processes are gone")
	errCopy  = errors.New("a copy of another supervisor's")
)

// fits says what keeps a journal with this head from being used here.
func (h journalHead) fits(here journalHead) error {
	switch {
	case h.Version > journalVersion:
		return fmt.Errorf("version %d, and this program reads %d: %w", h.Version, journalVersion, errNewer)
	case h.Version < 1:
		return &spoiltError{fmt.Errorf("written in version %d, and this program reads %d", h.Version, journalVersion)}
	case h.Boot != here.Boot:
		return fmt.Errorf("of another boot or another machine: %w", errPast)
	case h.Namespace != here.Namespace, h.Init != here.Init && h.Init != 0 && here.Init != 0:
		return fmt.Errorf("of another pid namespace: its processes have other numbers here: %w", errPast)
	case h.User != here.User:
		return &spoiltError{fmt.Errorf("of user %d, and this is user %d", h.User, here.User)}
	case h.Inode != 0 && (h.Inode != here.Inode || h.Device != here.Device):
		return fmt.Errorf("made in another directory: %w", errCopy)
	}
	return nil
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
	switch {
	case err != nil:
		return nil, err
	case owner.UID != os.Geteuid():
		err = fmt.Errorf("%s: it belongs to user %d: %w", path, owner.UID, sys.ErrInsecure)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%s: others have access to it (mode %04o): %w", path, info.Mode().Perm(), sys.ErrInsecure)
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
