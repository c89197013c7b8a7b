package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupMount is where cgroup2 is mounted: alone at /sys/fs/cgroup, or beside version 1.
type cgroupMount struct {
	dir  string // mount point
	root string // the group that is seen there
}

var errNoCgroup2 = errors.New("no cgroup2 is mounted")

// findCgroupMount reads mountinfo (proc_pid_mountinfo(5)).
func findCgroupMount(mountinfo string) (cgroupMount, error) {
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return cgroupMount{}, err
	}
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if ok && len(fields) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return cgroupMount{dir: unescape(fields[4]), root: unescape(fields[3])}, nil
		}
	}
	return cgroupMount{}, errNoCgroup2
}

// unescape undoes what the kernel does to spaces and the like: a backslash and three octal digits.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// ownCgroup reads a file like /proc/self/cgroup for the group in version 2.
func ownCgroup(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n"), nil
		}
	}
	return "", errNoCgroup2
}

// cgroupOf is the group of a process.
func cgroupOf(pid int) (string, error) { return ownCgroup(fmt.Sprintf("/proc/%d/cgroup", pid)) }

// dirOf returns the directory of a group as /proc/PID/cgroup names it.
func (m cgroupMount) dirOf(path string) (string, error) {
	rest, err := filepath.Rel(m.root, path)
	if err != nil || rest == ".." || strings.HasPrefix(rest, "../") {
		return "", fmt.Errorf("control group %s is not to be seen below %s", path, m.dir)
	}
	return filepath.Join(m.dir, rest), nil
}

// pathOf returns what /proc/PID/cgroup has for a directory, "" if that is none.
func (m cgroupMount) pathOf(dir string) string {
	rest, err := filepath.Rel(m.dir, dir)
	if err != nil || rest == ".." || strings.HasPrefix(rest, "../") {
		return ""
	}
	return filepath.Join(m.root, rest)
}
