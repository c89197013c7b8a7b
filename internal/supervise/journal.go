package supervise

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/internal/sys"
)

// journalVersion is the version of the file below. A supervisor reads its own version and the one before.
const journalVersion = 1

// journal is the file that holds the records of all services: a head, then records, of which the last for a service
// counts. It is made whole (package atomicfile), and appended to by one write(2) for any number of records, so that
// a thousand services that start cost a few writes. It is not synced: it means nothing after a reboot.
//
// A line is a checksum, a space and JSON. A writer that is killed within write(2) leaves a last line without its end,
// which readers pass over; every other line that is not right is a fault, and said to be one.
type journal struct {
	path    string
	head    journalHead
	f       *os.File // nil: to be made anew
	size    int64
	made    int64             // its size when it was made
	written map[string]uint64 // checksum of each service's last line
}

// journalHead says what the pids in the records mean.
type journalHead struct {
	Version   int    `json:"version"`
	Boot      string `json:"boot"`                   // sys.BootID
	Namespace uint64 `json:"pid_namespace,omitzero"` // inode number of /proc/self/ns/pid
	User      int    `json:"user"`                   // effective
	PID       int    `json:"supervisor"`             // for people
}

func newJournalHead() (journalHead, error) {
	boot, err := sys.BootID()
	if err != nil {
		return journalHead{}, err
	}
	h := journalHead{Version: journalVersion, Boot: boot, User: os.Geteuid(), PID: os.Getpid()}
	if info, err := os.Stat("/proc/self/ns/pid"); err == nil { // CONFIG_PID_NS; without, there is one
		h.Namespace = idOf(info).ino
	}
	return h, nil
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
func (j *journal) grown() bool { return j.f == nil || j.size > 2*j.made+roomToGrow }

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
	n, err := j.f.Write(b)
	j.size += int64(n)
	if err != nil { // whatever is there now, only a new file is right
		return errors.Join(err, j.close())
	}
	return nil
}

// replace makes the file anew, of all records.
func (j *journal) replace(list []record) error {
	if err := j.close(); err != nil {
		return err
	}
	written := make(map[string]uint64, len(list))
	b, _, err := appendLine(nil, j.head)
	for i := 0; i < len(list) && err == nil; i++ {
		b, written[list[i].Name], err = appendLine(b, list[i])
	}
	if err != nil {
		return err
	}
	if err := atomicfile.WriteForBoot(j.path, b, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	j.f, j.size, j.made, j.written = f, int64(len(b)), int64(len(b)), written
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

// journalMost bounds what is read of a journal: ten thousand services with long descriptions take a tenth of it.
const journalMost = 256 << 20

// readJournal returns the records of a journal by name. What cannot be used is in faults, one for each reason; err says
// why the file as a whole is refused. A file that is not there is empty.
func readJournal(path string, here journalHead) (records map[string]record, faults []error, err error) {
	data, err := readOurs(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	first, rest, ok := bytes.Cut(data, []byte{'\n'})
	var head journalHead
	if !ok {
		return nil, nil, fmt.Errorf("%s: cut short", path)
	}
	if err := parseLine(first, &head); err != nil {
		return nil, nil, fmt.Errorf("%s: line 1: %w", path, err)
	}
	if err := head.fits(here); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	records = map[string]record{}
	for number := 2; ; number++ {
		line, more, ok := bytes.Cut(rest, []byte{'\n'})
		if !ok {
			return records, faults, nil // what is left is a line that was being written
		}
		rest = more
		var r record
		if err := parseLine(line, &r); err != nil {
			faults = append(faults, fmt.Errorf("%s: line %d: %w", path, number, err))
			continue
		}
		if records[r.Name] = r; r.Gone {
			delete(records, r.Name)
		}
	}
}

// fits says what keeps a journal with this head from being used here.
func (h journalHead) fits(here journalHead) error {
	switch {
	case h.Version < 1 || h.Version > journalVersion:
		return fmt.Errorf("written in version %d, and this program reads %d", h.Version, journalVersion)
	case h.Boot != here.Boot:
		return errors.New("of another boot or another machine")
	case h.Namespace != here.Namespace:
		return errors.New("of another pid namespace: its processes have other numbers here")
	case h.User != here.User:
		return fmt.Errorf("of user %d, and this is user %d", h.User, here.User)
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
		return nil, fmt.Errorf("%s: it belongs to user %d: %w", path, owner.UID, sys.ErrInsecure)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s: others have access to it (mode %04o): %w", path, info.Mode().Perm(), sys.ErrInsecure)
	case links > 1:
		return nil, fmt.Errorf("%s: it has %d names: %w", path, links, sys.ErrInsecure)
	}
	data, err := io.ReadAll(io.LimitReader(f, journalMost+1))
	if err == nil && len(data) > journalMost {
		err = fmt.Errorf("%s: larger than %d bytes", path, journalMost)
	}
	return data, err
}
