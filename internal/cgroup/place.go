package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mount is where cgroup2 is mounted: alone at /sys/fs/cgroup, or beside version 1.
type mount struct {
	dir  string // mount point
	root string // the group that is seen there
}

var errNone = errors.New("no cgroup2 is mounted")

// findMount reads mountinfo (proc_pid_mountinfo(5)).
func findMount(mountinfo string) (mount, error) {
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return mount{}, err
	}
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if ok && len(fields) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return mount{dir: unescape(fields[4]), root: unescape(fields[3])}, nil
		}
	}
	return mount{}, errNone
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
	return "", errNone
}

// Of is the group of a process.
func Of(pid int) (string, error) { return ownCgroup(fmt.Sprintf("/proc/%d/cgroup", pid)) }

// dirOf returns the directory of a group as /proc/PID/cgroup names it.
func (m mount) dirOf(path string) (string, error) {
	rest, err := filepath.Rel(m.root, path)
	if err != nil || rest == ".." || strings.HasPrefix(rest, "../") {
		return "", fmt.Errorf("control group %s is not to be seen below %s", path, m.dir)
	}
	return filepath.Join(m.dir, rest), nil
}

// pathOf returns what /proc/PID/cgroup has for a directory, "" if that is none.
func (m mount) pathOf(dir string) string {
	rest, err := filepath.Rel(m.dir, dir)
	if err != nil || rest == ".." || strings.HasPrefix(rest, "../") {
		return ""
	}
	return filepath.Join(m.root, rest)
}
