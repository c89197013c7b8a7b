package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Group is the control group of one start of a service. A nil one has nothing in it.
type Group struct {
	parent *Parent
	Dir    string
	Path   string // as /proc/PID/cgroup has it
}

// Holds says whether a path of /proc/PID/cgroup is that of the group, or below it.
func (g *Group) Holds(path string) bool {
	return g != nil && (path == g.Path || strings.HasPrefix(path, g.Path+"/"))
}

// commands is below the group of a service, for its helper commands: they count as the
// service's, and can be told from what it has left behind.
const commands = "command"

// Prepare makes the group with its limits, and opens it for a process to be born into.
func (g *Group) Prepare(l spec.Limits) (*os.File, error) {
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	err := g.Limit(l, false)
	if err == nil {
		var f *os.File
		if f, err = os.Open(g.Dir); err == nil {
			return f, nil
		}
	}
	return nil, errors.Join(err, g.Remove())
}

// Command opens the group for helper commands.
func (g *Group) Command() (*os.File, error) {
	dir := filepath.Join(g.Dir, commands)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	return os.Open(dir)
}

// Populated says whether a process lives in the group or below it.
func (g *Group) Populated() (bool, error) {
	if g == nil {
		return false, nil
	}
	b, err := sys.ReadKernelFile(filepath.Join(g.Dir, "cgroup.events"))
	if IsRemoved(err) {
		return false, nil
	}
	return strings.Contains("\n"+string(b), "\npopulated 1\n"), err
}

// IsRemoved knows what open and read say of a group that has been removed.
func IsRemoved(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, sys.ENODEV)
}

// Members lists the processes in the group and below it, but for helper commands.
func (g *Group) Members() ([]int, error) {
	if g == nil {
		return nil, nil
	}
	pids, err := membersBut(g.Dir, filepath.Join(g.Dir, commands))
	if IsRemoved(err) {
		return nil, nil
	}
	return pids, err
}

// Own lists the processes in the group itself.
func (g *Group) Own() ([]int, error) { return readPIDs(g.Dir) }

// MembersOf lists the processes in the group at a directory and below it.
func MembersOf(dir string) ([]int, error) { return membersBut(dir, "") }

// membersBut leaves out those in one directory. What is removed below dir meanwhile had none: it
// could not have been removed.
func membersBut(dir, but string) (pids []int, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case path != dir && IsRemoved(err) || err == nil && !entry.IsDir():
			return nil
		case err != nil:
			return err
		case path == but:
			return fs.SkipDir
		}
		list, err := readPIDs(path)
		if path != dir && IsRemoved(err) {
			return nil
		}
		pids = append(pids, list...)
		return err
	})
	return pids, err
}

// Signal signals one process if it is still a member. It is held before it is looked at.
func (g *Group) Signal(pid int, sig sys.Signal) error {
	p, err := sys.Pin(pid)
	if err != nil {
		return err
	}
	defer p.Close()
	path, err := Of(pid)
	if err != nil {
		return err
	}
	if !g.Holds(path) {
		return fmt.Errorf("process %d is in another control group by now: %w", pid, sys.ESRCH)
	}
	return p.Signal(sig)
}

// Kill ends all that is in the group and below it, at once (Linux 5.14).
func (g *Group) Kill() error {
	err := writeFile(g.Dir, "cgroup.kill", "1")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return g.KillEach()
}

// KillEach ends what is in the group but for helper commands. Frozen (Linux 5.2), nothing in it can
// fork meanwhile, and SIGKILL is taken all the same. Without that, who calls it calls again until
// the group is empty.
func (g *Group) KillEach() error {
	frozen := writeFile(g.Dir, "cgroup.freeze", "1") == nil
	pids, err := g.Members()
	for _, pid := range pids {
		if killErr := g.Signal(pid, sys.SIGKILL); !errors.Is(killErr, sys.ESRCH) {
			err = errors.Join(err, killErr)
		}
	}
	if frozen {
		err = errors.Join(err, writeFile(g.Dir, "cgroup.freeze", "0"))
	}
	return err
}

// Remove removes the group with those that the service has made in it. EBUSY: something lives in
// it.
func (g *Group) Remove() error {
	if g == nil {
		return nil
	}
	err := os.Remove(g.Dir)
	if err == nil || IsRemoved(err) {
		return nil
	}
	entries, listErr := os.ReadDir(g.Dir)
	if IsRemoved(listErr) {
		return nil
	}
	below := 0
	for _, entry := range entries {
		if entry.IsDir() {
			below++
			if err := (&Group{Dir: filepath.Join(g.Dir, entry.Name())}).Remove(); err != nil {
				return err
			}
		}
	}
	if below == 0 {
		return err
	}
	if err := os.Remove(g.Dir); !IsRemoved(err) {
		return err
	}
	return nil
}

// OOMKills is how many processes of the group the kernel has killed for want of memory. Without the
// controller nobody knows.
func (g *Group) OOMKills() (n uint64, known bool) {
	if g == nil {
		return 0, false
	}
	b, err := sys.ReadKernelFile(filepath.Join(g.Dir, "memory.events"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err = strconv.ParseUint(strings.TrimSpace(text), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// OfCommand says whether a path of /proc/PID/cgroup is that of the helper commands of a service.
func OfCommand(path string) bool { return strings.HasSuffix(path, "/"+commands) }
