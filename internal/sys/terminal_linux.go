package sys

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// TerminalDevice says whether a character device with this number is a
// terminal that a session could have as its own: every tty driver of /proc/tty/drivers but the
// masters of pseudo-terminals.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func TerminalDevice(rdev uint64) (bool, error) {
	drivers, err := os.ReadFile("/proc/tty/drivers")
	if err != nil {
		return false, err
	}
	return inDrivers(drivers, unix.Major(rdev), unix.Minor(rdev)), nil
}

// inDrivers looks a device up in the lines of /proc/tty/drivers, like
// "pty_slave  /dev/pts  136 0-1048575 pty:slave": driver, node, major, range of
// minors, type.
func inDrivers(drivers []byte, major, minor uint32) bool {
	for line := range bytes.Lines(drivers) {
		// The name of a driver may contain blanks: count from the end.
		fields := strings.Fields(string(line))
		if len(fields) < 5 {
			continue
		}
		last4 := fields[len(fields)-4:]
		node, number, minors, kind := last4[0], last4[1], last4[2], last4[3]
		if kind == "pty:master" || node == "/dev/ptmx" {
			continue
		}
		first, last, ok := strings.Cut(minors, "-")
		if !ok {
			last = first
		}
		if inRange(number, first, last, major, minor) {
			return true
		}
	}
	return false
}

func inRange(number, first, last string, major, minor uint32) bool {
	n, err1 := strconv.ParseUint(number, 10, 32)
	lo, err2 := strconv.ParseUint(first, 10, 32)
	hi, err3 := strconv.ParseUint(last, 10, 32)
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	return uint32(n) == major && uint32(lo) <= minor && minor <= uint32(hi)
}
