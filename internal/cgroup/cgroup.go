// Package cgroup keeps each service in a control group of its own, so that whatever it forks is
// found there, limited and ended.
package cgroup

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/internal/sys"
)

// Where the groups of services are to be, beside the name of a directory.
const (
	Auto = ""    // below our own control group, where that can be written to
	None = "off" // there are none: services run in our own control group
)

// Parent is the control group (cgroups(7), version 2) below which each service has one of its own:
// whatever a service forks, and however it hides, is found there and ends with it. Only what is
// below our own group, or below one that was named to us, is made or changed: the rest belongs to
// somebody else, such as systemd.
//
// The zero value makes none. In a hybrid hierarchy, where version 1 has the controllers, groups
// work and limits do not.
type Parent struct {
	Dir    string // absolute, "" for none
	Path   string // the same as /proc/PID/cgroup has it
	record string // file that tells a successor of Dir
	why    error  // there is none

	mu sync.Mutex // held while controllers are switched on
}

// open finds or makes the group for services. Without a word from the user it is no error
// that there can be none.
func open(wanted, record string) (*Parent, error) {
	c := &Parent{record: record}
	if wanted == None {
		c.why = errors.New("switched off")
		return c, nil
	}
	m, err := findMount()
	if err == nil {
		err = c.find(m, wanted)
	}
	if err != nil && wanted != Auto {
		return nil, fmt.Errorf("control group: %w", err)
	}
	if err != nil {
		c.Dir, c.why = "", err
	}
	return c, nil
}

// find goes on with the group that the record names, if it can be used, or makes one.
func (c *Parent) find(m mount, wanted string) error {
	if before, err := os.ReadFile(c.record); err == nil {
		if dir := recordedGroup(string(before), c.record); m.pathOf(dir) != "" &&
			writable(dir) == nil {
			c.Dir, c.Path = dir, m.pathOf(dir) // what the last supervisor started runs there
			return nil
		}
	}
	parent := wanted
	if wanted == Auto {
		own, err := Of(0)
		if err == nil {
			parent, err = m.dirOf(own)
		}
		if err != nil {
			return err
		}
	}
	if m.pathOf(parent) == "" {
		return fmt.Errorf("%s: not below %s, where cgroup2 is mounted", parent, m.dir)
	}
	// To move a process one must be able to write to the group that both places have in common
	// (cgroups(7), "Delegation containment").
	if err := writable(parent); err != nil {
		return err
	}
	// Several supervisors may share a parent; the same one finds its own again.
	c.Dir = filepath.Join(parent, ourGroup+short(c.record))
	c.Path = m.pathOf(c.Dir)
	if err := os.Mkdir(c.Dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err := writable(c.Dir)
	if err == nil {
		err = usable(c.Dir)
	}
	if err == nil {
		err = c.remember()
	}
	if err != nil {
		return errors.Join(err, os.Remove(c.Dir))
	}
	return nil
}

func (c *Parent) remember() error {
	return atomicfile.Write(c.record, []byte(c.Dir+"\n"+placeOf(c.record)+"\n"), 0o600)
}

// recordedGroup is the group that a record names, "" if it is a copy: its directory is not the one
// that it was made in.
func recordedGroup(text, path string) string {
	dir, rest, made := strings.Cut(text, "\n")
	if place := strings.TrimSpace(rest); made && place != placeOf(path) {
		return ""
	}
	return dir
}

// placeOf names the directory of a file as no copy of it is named.
func placeOf(path string) string {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return ""
	}
	id := sys.FileIDOf(info)
	return fmt.Sprintf("%d:%d", id.Device, id.Inode)
}

// ourGroup is what the name of a supervisor's group begins with.
const ourGroup = "daemonry-"

// short is a name for a path among few.
func short(path string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(path)))[:8] }

// writable says whether processes can be moved into, or within, the group.
func writable(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// usable refuses a group that takes threads only: below a threaded one, all are.
func usable(dir string) error {
	b, err := sys.ReadKernelFile(filepath.Join(dir, "cgroup.type"))
	if kind := strings.TrimSpace(string(b)); err == nil && kind != "domain" {
		err = fmt.Errorf("%s: its type is %q", dir, kind)
	}
	return err
}

// Close removes the group, which is empty when all services have ended.
func (c *Parent) Close() error {
	if c == nil || c.Dir == "" {
		return nil
	}
	for _, g := range c.Groups() {
		if err := g.Remove(); err != nil {
			return fmt.Errorf("remove control group: %w", err) // the record stays with it
		}
	}
	if err := os.Remove(c.Dir); err != nil && !IsRemoved(err) {
		return fmt.Errorf("remove control group: %w", err)
	}
	if err := os.Remove(c.record); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Group is the one for one start of a service. Two processes of a service may run at the same time.
// Nothing is made yet.
func (c *Parent) Group(service, invocation string) *Group {
	if c == nil || c.Dir == "" {
		return nil
	}
	// The prefix keeps the name of a service from being that of a file of the kernel's, such as
	// "cgroup.procs".
	return c.named(prefix + service + mark + invocation)
}

// The name of a group is the prefix, the name of the service, the mark, which is in no name, and
// the invocation id.
const (
	prefix = "service-"
	mark   = "+"
)

func (c *Parent) named(name string) *Group {
	return &Group{parent: c, Dir: filepath.Join(c.Dir, name), Path: c.Path + "/" + name}
}

// Reason says why there are no groups, nil if there are.
func (c *Parent) Reason() error {
	if c == nil {
		return errNone
	}
	return c.why
}

// StartAt returns the service and the invocation in whose group, or in a group below it, a path of
// /proc/PID/cgroup is; "" for none.
func StartAt(path string) (service, invocation string) {
	_, rest, ok := strings.Cut(path, "/"+ourGroup)
	if ok {
		_, rest, ok = strings.Cut(rest, "/"+prefix)
	}
	if !ok {
		return "", ""
	}
	name, _, _ := strings.Cut(rest, "/")
	service, invocation, _ = strings.Cut(name, mark)
	return service, invocation
}

// Groups lists those that are there.
func (c *Parent) Groups() (list []*Group) {
	if c == nil || c.Dir == "" {
		return nil
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil // that it cannot be removed will be told
	}
	for _, entry := range entries {
		if entry.IsDir() && strings.HasPrefix(entry.Name(), prefix) {
			list = append(list, c.named(entry.Name()))
		}
	}
	return list
}

// enable switches controllers on for the groups of services.
func (c *Parent) enable(controllers []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range controllers {
		if has(c.Dir, "cgroup.subtree_control", name) {
			continue
		}
		parent := filepath.Dir(c.Dir)
		if !has(parent, "cgroup.controllers", name) {
			return fmt.Errorf("the control group %s has no controller %q", parent, name)
		}
		if !has(parent, "cgroup.subtree_control", name) {
			err := c.moveOut(parent)
			if err == nil {
				err = writeFile(parent, "cgroup.subtree_control", "+"+name)
			}
			if err != nil {
				return fmt.Errorf("controller %q: %w", name, err)
			}
		}
		if err := writeFile(c.Dir, "cgroup.subtree_control", "+"+name); err != nil {
			return fmt.Errorf("controller %q: %w", name, err)
		}
	}
	return nil
}

// moveOut makes room: a group that hands controllers down has no processes of its own (cgroups(7),
// "no internal processes"), unless it is the root. We are the one to leave it, for a leaf of our
// own, if nobody else is in it.
//
// It must not be left to the kernel to refuse: that refuses memory and io only. With cpu or pids
// handed down, a group with processes becomes the root of a threaded subtree (cgroups(7), "Threaded
// mode"), and those below it, where our services are, can hold no process any more.
func (c *Parent) moveOut(parent string) error {
	if _, err := os.Stat(filepath.Join(parent, "cgroup.type")); errors.Is(err, fs.ErrNotExist) {
		return nil // the root
	}
	pids, err := readPIDs(parent)
	if len(pids) == 0 {
		return err
	}
	if !slices.Equal(pids, []int{os.Getpid()}) {
		return fmt.Errorf("%s has other processes than the supervisor: %w", parent, syscall.EBUSY)
	}
	leaf := filepath.Join(parent, "supervisor")
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return writeFile(leaf, "cgroup.procs", strconv.Itoa(os.Getpid()))
}

// has says whether a list in a file of a group has a word.
func has(dir, file, word string) bool {
	b, err := sys.ReadKernelFile(filepath.Join(dir, file))
	return err == nil && slices.Contains(strings.Fields(string(b)), word)
}

// writeFile writes to a file of the kernel's, which must be there.
func writeFile(dir, name, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func readPIDs(dir string) (pids []int, err error) {
	b, err := sys.ReadKernelFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if pid > 0 { // 0 is a process of another pid namespace, which has no number here
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
