package sys

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func lockers(f *os.File) []Locker {
	names, err := namesIn("/proc")
	if err != nil {
		return nil
	}
	var list []Locker
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		for _, fd := range locked(pid, f) {
			l := Locker{PID: pid, OFD: slices.Contains(fd.LockedBy, -1)}
			l.Flock = slices.ContainsFunc(fd.LockedBy, func(by int) bool { return by != -1 })
			list = l.add(list)
		}
	}
	for _, pid := range flockedBy(f) {
		if !slices.ContainsFunc(list, func(l Locker) bool { return l.PID == pid }) {
			list = Locker{PID: pid, Flock: true}.add(list)
		}
	}
	return list
}

// add leaves out who is gone by now, or whose nobody tells us.
func (l Locker) add(list []Locker) []Locker {
	ids, err := readUserIDs(l.PID)
	if err != nil {
		return list
	}
	l.UID = ids.Real // what setuid programs inherit from who starts them is his
	return append(list, l)
}

// flockedBy are the processes that took flock(2) locks of a file, by /proc/locks, which says so to
// everybody.
func flockedBy(f *os.File) (pids []int) {
	own, err := statOf(f)
	if err != nil {
		return nil
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil
	}
	inode := fmt.Sprintf("%02x:%02x:%d", unix.Major(own.Dev), unix.Minor(own.Dev), own.Ino)
	for line := range bytes.Lines(locks) {
		fields := strings.Fields(string(line)) // "7: FLOCK ADVISORY WRITE 4711 00:1b:1467 0 EOF"
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != inode {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
