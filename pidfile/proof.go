package pidfile

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// parse reads a pid: digits, with white space around them, as other programs
// write it too. Anything else, such as a second number, is not a pid file.
func parse(data []byte) (int, error) {
	if len(data) > maxSize {
		return 0, fmt.Errorf("it has more than %d bytes: not a pid", maxSize)
	}
	text := bytes.TrimSpace(data)
	if len(text) == 0 {
		return 0, errors.New("it is empty")
	}
	pid, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || pid <= 0 || text[0] < '1' || text[0] > '9' {
		// and might be anything: they are not quoted
		return 0, fmt.Errorf("it holds %d bytes that are not a pid", len(text))
	}
	return int(pid), nil
}

// fingerprint hashes an identity into the nanoseconds of a time: 1 to
// 999,999,999. Zero is left out, so a file system that keeps no nanoseconds
// never matches. See docs/adr/0002-pidfile-identity.md.
func fingerprint(id sys.Identity) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d\x00%d", id.Boot, id.PID, id.Start) // a hash never fails to write
	return 1 + int64(h.Sum64()%999_999_999)
}

// clockSlack covers what start times and file times are rounded by.
const clockSlack = 2 * time.Second

// verdict is what is known about the process recorded in a pid file.
type verdict struct {
	state State // Running, Dead or Unproven
	pid   int   // 0: none recorded
	why   error // unless Running
	blind bool  // Unproven because the facts about the process cannot be read
	proc  *sys.Process
}

func (v verdict) close() error {
	if v.proc == nil {
		return nil
	}
	return v.proc.Close()
}

// judge tells whether the process recorded in the file is alive and provably the
// one recorded. Lock and path are not its business.
func judge(file *os.File, owner int) (verdict, error) {
	rec, err := read(file)
	if err != nil {
		return verdict{}, err
	}
	if rec.err != nil {
		return verdict{state: Dead, why: rec.err}, nil
	}
	v := verdict{pid: rec.pid}
	v.proc, err = sys.Pin(rec.pid)
	if errors.Is(err, sys.ESRCH) {
		v.state, v.why = Dead, fmt.Errorf("process %d is gone", rec.pid)
		return v, nil
	}
	if err != nil {
		return verdict{}, err
	}
	id, err := v.proc.Identity()
	if err != nil {
		v.state, v.why, v.blind = Unproven, err, !errors.Is(err, errors.ErrUnsupported)
		return v, nil
	}
	v.state, v.why = identify(id, file, rec, owner)
	return v, nil
}

// identify compares a live process with the fingerprint. Who holds the lock on the file is the one
// too: it was handed down to it, or taken by it, and touch(1) does not take it away. Not so
// ourselves: we may have it since a moment ago.
func identify(id sys.Identity, file *os.File, rec record, owner int) (State, error) {
	proven := int64(rec.fi.ModTime().Nanosecond()) == fingerprint(id)
	if !proven && (id.PID == os.Getpid() || !heldSince(id.PID, file)) {
		return mismatch(id.PID, rec)
	}
	if trusted(owner) {
		return Running, nil
	}
	// Boot id, pid and start time are public, so the owner of the file could
	// make it name any process, and have root signal that one for him. He is
	// believed about processes that he may signal himself.
	ids, err := sys.ReadUserIDs(id.PID)
	if err != nil {
		return Unproven, err
	}
	if !ids.SignalledBy(owner) {
		return Unproven, fmt.Errorf("%w: user %d owns the file, but process %d belongs to user %d",
			ErrInsecure, owner, id.PID, ids.Real)
	}
	return Running, nil
}

// heldSince says whether a process has the lock of a file that was still being changed when it
// lived: anybody who may read a file may lock it, also one that has been given the number of a
// process that is long dead. The clock, if it was set, can only have the lock of the right one not
// count.
func heldSince(pid int, file *os.File) bool {
	if !sys.HoldsLock(pid, file) {
		return false
	}
	stat, err := sys.ReadStat(pid)
	if err != nil {
		return false
	}
	started, err := sys.StartedAt(stat)
	if err != nil {
		return false
	}
	changed, err := sys.ChangedAt(file)
	return err == nil && !started.After(changed.Add(clockSlack))
}

// mismatch says what can be said about a live process that the fingerprint does
// not prove. The wall clock is no proof, as it can be set: it only chooses between two
// answers neither of which lets anybody signal the process.
func mismatch(pid int, rec record) (State, error) {
	stat, err := sys.ReadStat(pid)
	if err != nil {
		return Unproven, err
	}
	started, err := sys.StartedAt(stat)
	if err != nil {
		return Unproven, err
	}
	if started.After(rec.fi.ModTime().Add(clockSlack)) {
		return Dead, fmt.Errorf(
			"process %d (%q) is another one: it started after the pid file was written", pid,
			stat.Comm,
		)
	}
	return Unproven, fmt.Errorf(
		"process %d (%q) is alive, but nothing proves that it is the one recorded", pid, stat.Comm,
	)
}
