package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

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
	i := slices.IndexFunc(mounts, func(m sys.Mount) bool { return m.Type == "cgroup2" })
	if i < 0 {
		return mount{}, errNone
	}
	return mount{dir: mounts[i].Point, root: mounts[i].Root}, nil
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
	dir := rebase(path, m.root, m.dir)
	if dir == "" {
		return "", fmt.Errorf("control group %s is not to be seen below %s", path, m.dir)
	}
	return dir, nil
}

// pathOf returns what /proc/PID/cgroup has for a directory, "" if that is none.
func (m mount) pathOf(dir string) string { return rebase(dir, m.dir, m.root) }

// rebase is a path below from in the same place below to, "" if it is not below from.
func rebase(path, from, to string) string {
	rest, err := filepath.Rel(from, path)
	if err != nil || !filepath.IsLocal(rest) {
		return ""
	}
	return filepath.Join(to, rest)
}
