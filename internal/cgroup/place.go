package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// mount is where cgroup2 is mounted: alone at /sys/fs/cgroup, or beside version 1.
type mount struct {
	dir  string // mount point
	root string // the group that is seen there
}

var errNone = errors.New("no cgroup2 is mounted")

func findMount() (mount, error) {
	mounts, err := sys.Mounts(0)
	if err != nil {
		return mount{}, err
	}
	return mountIn(mounts)
}

func mountIn(mounts []sys.Mount) (mount, error) {
	for _, m := range mounts {
		if m.Type == "cgroup2" {
			return mount{dir: m.Point, root: m.Root}, nil
		}
	}
	return mount{}, errNone
}

// Of is the group of a process in version 2; 0 is ourselves.
func Of(pid int) (string, error) {
	groups, err := sys.Cgroups(pid)
	if err != nil {
		return "", err
	}
	if group, ok := groups[""]; ok {
		return group, nil
	}
	return "", errNone
}

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
