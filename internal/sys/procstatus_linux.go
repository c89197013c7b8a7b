package sys

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// LimitsOf returns the resource limits of a process by the names of RlimitNumber, those of them
// that the kernel tells of. Elsewhere than on Linux the error wraps errors.ErrUnsupported.
func LimitsOf(pid int) (map[string]Rlimit, error) {
	// Anybody may read it: prlimit(2) tells only of processes of the same user.
	data, err := readProc(pid, "limits")
	if err != nil {
		return nil, err
	}
	return parseLimits(data)
}

// limitNames are the names in that file (fs/proc/base.c), which are padded with blanks.
var limitNames = map[string]string{
	"Max cpu time":          "cpu",
	"Max file size":         "fsize",
	"Max data size":         "data",
	"Max stack size":        "stack",
	"Max core file size":    "core",
	"Max resident set":      "rss",
	"Max processes":         "nproc",
	"Max open files":        "nofile",
	"Max locked memory":     "memlock",
	"Max address space":     "as",
	"Max file locks":        "locks",
	"Max pending signals":   "sigpending",
	"Max msgqueue size":     "msgqueue",
	"Max nice priority":     "nice",
	"Max realtime priority": "rtprio",
	"Max realtime timeout":  "rttime",
}

// limitColumn is where the values begin.
const limitColumn = 26

func parseLimits(data []byte) (map[string]Rlimit, error) {
	limits := map[string]Rlimit{}
	for line := range bytes.Lines(data) {
		text := string(line)
		if len(text) < limitColumn {
			continue
		}
		name, known := limitNames[strings.TrimRight(text[:limitColumn], " ")]
		if !known {
			continue // of a newer kernel
		}
		var values [2]uint64
		fields := strings.Fields(text[limitColumn:])
		if len(fields) < 2 {
			return nil, fmt.Errorf("limits: line %q", strings.TrimSpace(text))
		}
		for i := range values {
			if fields[i] == "unlimited" {
				values[i] = RlimitInfinity
				continue
			}
			var err error
			if values[i], err = strconv.ParseUint(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("limits: line %q: %w", strings.TrimSpace(text), err)
			}
		}
		limits[name] = Rlimit{Soft: values[0], Hard: values[1]}
	}
	return limits, nil
}

// ReadStatus reads /proc/PID/status, with the errors of ReadStat.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ReadStatus(pid int) (ProcStatus, error) {
	data, err := readProc(pid, "status")
	if err != nil {
		return ProcStatus{}, err
	}
	st, err := parseStatus(data)
	if err != nil {
		return ProcStatus{}, fmt.Errorf("read /proc/%d/status: %w", pid, err)
	}
	return st, nil
}

// parseStatus reads the lines it knows and ignores the rest, so that a newer
// kernel's lines do no harm. The kernel escapes newlines in Name, so no
// process can forge a line.
func parseStatus(data []byte) (ProcStatus, error) {
	st := ProcStatus{Umask: -1}
	seen := map[string]bool{} // once each: a line that is there twice stands for no other
	for line := range bytes.Lines(data) {
		key, value, ok := strings.Cut(strings.TrimRight(string(line), "\n"), ":")
		if !ok {
			continue
		}
		if err := st.set(key, strings.TrimSpace(value)); err != nil {
			return ProcStatus{}, fmt.Errorf("line %q: %w", strings.TrimSpace(string(line)), err)
		}
		if slices.Contains(mandatory, key) {
			seen[key] = true
		}
	}
	if len(seen) < len(mandatory) {
		return ProcStatus{}, fmt.Errorf("it lacks State, Tgid, PPid, Uid, SigBlk, SigIgn or SigCgt")
	}
	return st, nil
}

// These seven have been there since Linux 2.6: a file without them is not
// this file, and a zero taken for "no signal is ignored" would be a lie.
var mandatory = []string{"State", "Tgid", "PPid", "Uid", "SigBlk", "SigIgn", "SigCgt"}

// set stores one line.
func (st *ProcStatus) set(key, value string) (err error) {
	switch key {
	case "Name":
		st.Name = value
	case "State":
		if value == "" || value[0] < 'A' || value[0] > 'z' {
			return fmt.Errorf("no state")
		}
		st.State = value[0]
	case "Tgid":
		st.TGID, err = strconv.Atoi(value)
	case "PPid":
		st.PPID, err = strconv.Atoi(value)
	case "Uid":
		st.UID, err = fourIDs(value)
	case "Gid":
		st.GID, err = fourIDs(value)
	case "Groups":
		st.Groups, err = manyIDs(value)
	case "Umask":
		var mask uint64
		mask, err = strconv.ParseUint(value, 8, 12)
		st.Umask = int(mask)
	case "VmSize":
		st.Memory = true
	case "NoNewPrivs":
		st.NoNew = NoNewPrivsOff
		if value == "1" {
			st.NoNew = NoNewPrivsOn
		}
	case "SigBlk":
		err = parseHex((*uint64)(&st.Blocked), value)
	case "SigIgn":
		err = parseHex((*uint64)(&st.Ignored), value)
	case "SigCgt":
		err = parseHex((*uint64)(&st.Caught), value)
	case "CapPrm":
		err = parseHex((*uint64)(&st.CapPrm), value)
	case "CapEff":
		err = parseHex((*uint64)(&st.CapEff), value)
	case "CapBnd":
		err = parseHex((*uint64)(&st.CapBnd), value)
	case "CapAmb":
		err = parseHex((*uint64)(&st.CapAmb), value)
	}
	return err
}

func parseHex(to *uint64, value string) (err error) {
	*to, err = strconv.ParseUint(value, 16, 64)
	return err
}

func fourIDs(value string) (ids [4]uint32, err error) {
	list, err := manyIDs(value)
	if err == nil && len(list) != len(ids) {
		err = fmt.Errorf("%d ids instead of 4", len(list))
	}
	copy(ids[:], list)
	return ids, err
}

func manyIDs(value string) ([]uint32, error) {
	var ids []uint32
	for field := range strings.FieldsSeq(value) {
		id, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(id))
	}
	return ids, nil
}

// BlockedEverywhere returns the signals that every thread of the process
// blocks. One thread alone proves nothing: programs block signals in all
// threads but the one that waits for them, and libraries block everything for the moment
// of a fork or of the creation of a thread.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func BlockedEverywhere(pid int) (SignalSet, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	all, seen := ^SignalSet(0), false
	for _, thread := range threads {
		path := dir + "/" + thread.Name() + "/status"
		data, err := os.ReadFile(path)
		if Gone(err) {
			continue // it ended while we looked
		}
		if err != nil {
			return 0, err
		}
		st, err := parseStatus(data)
		if err != nil {
			return 0, &fs.PathError{Op: "parse", Path: path, Err: err}
		}
		if st.State == 'Z' {
			continue
		}
		all, seen = all&st.Blocked, true
	}
	if !seen {
		return 0, &fs.PathError{Op: "read", Path: dir, Err: syscall.ESRCH}
	}
	return all, nil
}

var rlimitNumbers = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU,
	"data":  unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
	"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
	"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
	"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// RlimitNumber returns the number of a resource of setrlimit(2) by its name in
// lower case without "RLIMIT_", and whether this system has it.
func RlimitNumber(name string) (int, bool) {
	n, ok := rlimitNumbers[name]
	return n, ok
}
