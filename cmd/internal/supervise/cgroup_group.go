package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// cgroup is the control group of one service. A nil one has nothing in it.
type cgroup struct {
	all  *cgroups
	dir  string
	path string // as /proc/PID/cgroup has it
}

// holds says whether a path of /proc/PID/cgroup is that of the group, or below it.
func (g *cgroup) holds(path string) bool {
	return g != nil && (path == g.path || strings.HasPrefix(path, g.path+"/"))
}

// commandGroup is below the group of a service, for its helper commands: they count as the
// service's, and can be told from what it has left behind.
const commandGroup = "command"

// prepare makes the group with its limits, and opens it for a process to be born into.
func (g *cgroup) prepare(l spec.Limits) (*os.File, error) {
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	err := g.limit(l, false)
	if err == nil {
		var f *os.File
		if f, err = os.Open(g.dir); err == nil {
			return f, nil
		}
	}
	return nil, errors.Join(err, g.remove())
}

// command opens the group for helper commands.
func (g *cgroup) command() (*os.File, error) {
	dir := filepath.Join(g.dir, commandGroup)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	return os.Open(dir)
}

// populated says whether a process lives in the group or below it.
func (g *cgroup) populated() (bool, error) {
	if g == nil {
		return false, nil
	}
	b, err := sys.ReadKernelFile(filepath.Join(g.dir, "cgroup.events"))
	if gone(err) {
		return false, nil
	}
	return strings.Contains("\n"+string(b), "\npopulated 1\n"), err
}

// gone knows what open and read say of a group that has been removed.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) }

// members lists the processes in the group and below it, but for helper commands.
func (g *cgroup) members() (pids []int, err error) {
	if g == nil {
		return nil, nil
	}
	err = filepath.WalkDir(g.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case gone(err) || err == nil && !entry.IsDir():
			return nil
		case err != nil:
			return err
		case path == filepath.Join(g.dir, commandGroup):
			return fs.SkipDir
		}
		list, err := readPIDs(path)
		if gone(err) {
			return nil
		}
		pids = append(pids, list...)
		return err
	})
	return pids, err
}

// signal signals one process if it is still a member. It is held before it is looked at.
func (g *cgroup) signal(pid int, sig syscall.Signal) error {
	p, err := sys.Pin(pid)
	if err != nil {
		return err
	}
	defer p.Close()
	path, err := cgroupOf(pid)
	if err != nil {
		return err
	}
	if !g.holds(path) {
		return fmt.Errorf("process %d is in another control group by now: %w", pid, syscall.ESRCH)
	}
	return p.Signal(sig)
}

// kill ends all that is in the group and below it, at once (Linux 5.14).
func (g *cgroup) kill() error {
	err := writeFile(g.dir, "cgroup.kill", "1")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return g.killEach()
}

// killEach ends what is in the group but for helper commands. Frozen (Linux 5.2), nothing in it can
// fork meanwhile, and SIGKILL is taken all the same. Without that, who calls it calls again until
// the group is empty.
func (g *cgroup) killEach() error {
	frozen := writeFile(g.dir, "cgroup.freeze", "1") == nil
	pids, err := g.members()
	for _, pid := range pids {
		if killErr := g.signal(pid, syscall.SIGKILL); !errors.Is(killErr, syscall.ESRCH) {
			err = errors.Join(err, killErr)
		}
	}
	if frozen {
		err = errors.Join(err, writeFile(g.dir, "cgroup.freeze", "0"))
	}
	return err
}

// remove removes the group with those that the service has made in it. EBUSY: something lives in
// it.
func (g *cgroup) remove() error {
	if g == nil {
		return nil
	}
	err := os.Remove(g.dir)
	if err == nil || gone(err) {
		return nil
	}
	entries, listErr := os.ReadDir(g.dir)
	if gone(listErr) {
		return nil
	}
	below := 0
	for _, entry := range entries {
		if entry.IsDir() {
			below++
			if err := (&cgroup{dir: filepath.Join(g.dir, entry.Name())}).remove(); err != nil {
				return err
			}
		}
	}
	if below == 0 {
		return err
	}
	if err := os.Remove(g.dir); !gone(err) {
		return err
	}
	return nil
}

// oomKills is how many processes of the group the kernel has killed for want of memory. Without the
// controller nobody knows.
func (g *cgroup) oomKills() (n uint64, known bool) {
	if g == nil {
		return 0, false
	}
	b, err := sys.ReadKernelFile(filepath.Join(g.dir, "memory.events"))
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
