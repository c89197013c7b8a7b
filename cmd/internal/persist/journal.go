package persist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/daemonry/daemonry/internal/atomicfile"
)

// JournalFile is the journal's name in the runtime directory.
const JournalFile = "services.journal"

// Record is what a journal says of one name. Of a forgotten one nothing else is said.
type Record interface {
	Of() string
	Forgotten() bool
}

// Journal is the file that holds the records of all names: a head, how long it is, then records, of
// which the last for a name counts. It is made whole (package atomicfile), and appended to by one
// write(2) for any number of records, so that a thousand services that start cost a few writes. It
// is not synced: it means nothing after a reboot.
//
// A line is a checksum, a space and JSON. A writer that is killed within write(2) leaves a last
// line without its end, which readers pass over; every other line that is not right is a fault, and
// said to be one. The length, which is written after what it counts, tells such a line from a file
// that somebody has cut.
//
// It is not for several goroutines.
type Journal[R Record] struct {
	Owner   Owner
	dir     string
	ballast *Ballast
	f       *os.File // nil: to be made anew
	size    int64
	length  int64             // where the length is written
	made    int64             // its size when it was made
	written map[string]uint64 // checksum of each name's last line
}

// NewJournal is that of a runtime directory, which is not touched before the first Replace.
func NewJournal[R Record](dir string, owner Owner, ballast *Ballast) *Journal[R] {
	return &Journal[R]{Owner: owner, dir: dir, ballast: ballast}
}

func (j *Journal[R]) path() string { return filepath.Join(j.dir, JournalFile) }

// Move has it be in another directory from the next Replace on.
func (j *Journal[R]) Move(dir string) {
	j.dir = dir
	j.ballast.Move(dir)
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

// lengthLine is the second line of a journal of so many bytes. It is always as long.
func lengthLine(n int64) []byte { return fmt.Appendf(nil, "%016x\n", n) }

const lengthSize = 17

// roomToGrow is by how much a journal may grow beyond twice its size before it is made anew.
const roomToGrow = 1 << 20

// Grown says whether the file is worth being made anew, with all there is in it. After a failure it
// is: whatever is there then, only a new file is right.
func (j *Journal[R]) Grown() bool {
	most := int64(roomToGrow)
	if j.ballast.given { // a new one needs room, which the old one must not have used up
		most = int64(j.ballast.size) / 4
	}
	return j.f == nil || j.size > 2*j.made+most
}

// Append adds what differs from what was written last. It is for a file that has not Grown.
func (j *Journal[R]) Append(list []R) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	var b []byte
	for _, r := range list {
		longer, sum, err := appendLine(b, r)
		if err != nil {
			return fmt.Errorf("record of %s: %w", r.Of(), err)
		}
		if j.written[r.Of()] == sum {
			continue
		}
		b, j.written[r.Of()] = longer, sum
		if r.Forgotten() {
			delete(j.written, r.Of())
		}
	}
	if len(b) == 0 {
		return nil
	}
	err = j.ballast.spare(func() error {
		_, err := j.f.WriteAt(b, j.size)
		return err
	})
	if err == nil {
		j.size += int64(len(b))
		_, err = j.f.WriteAt(lengthLine(j.size), j.length)
	}
	return err
}

// Replace makes the file anew, of all records.
func (j *Journal[R]) Replace(list []R) error {
	if err := j.Close(); err != nil {
		return err
	}
	written := make(map[string]uint64, len(list))
	b, _, err := appendLine(nil, j.Owner.Head.in(j.dir))
	length := int64(len(b))
	b = append(b, lengthLine(0)...)
	for i := 0; i < len(list) && err == nil; i++ {
		b, written[list[i].Of()], err = appendLine(b, list[i])
	}
	if err != nil {
		return err
	}
	copy(b[length:], lengthLine(int64(len(b))))
	err = j.ballast.spare(func() error { return atomicfile.WriteForBoot(j.path(), b, 0o600) })
	if isFull(err) {
		// The old one takes room, and is not right any more: services that live would be ended by
		// what it says. Without one they are found by what they hold.
		if rmErr := os.Remove(j.path()); rmErr == nil {
			err = atomicfile.WriteForBoot(j.path(), b, 0o600)
		}
	}
	if err != nil {
		return err
	}
	_ = j.ballast.fill() // if there is room again
	f, err := os.OpenFile(j.path(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	j.f, j.length, j.size, j.made, j.written = f, length, int64(len(b)), int64(len(b)), written
	return nil
}

// Close leaves the file to whoever comes next.
func (j *Journal[R]) Close() error {
	if j.f == nil {
		return nil
	}
	f := j.f
	j.f = nil
	return f.Close()
}

// Remove says that nothing is left that anybody has to know of. The owner's file goes first: with
// it, and no journal, one would be missing.
func (j *Journal[R]) Remove() error {
	if err := j.Owner.remove(); err != nil {
		return errors.Join(err, j.Close())
	}
	_ = os.Remove(j.ballast.path)
	return errors.Join(removed(os.Remove(j.path())), j.Close())
}

// removed is why a file is still there.
func removed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
