package proctest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// process is one line of the process table.
type process struct {
	pid, ppid int
	state     byte
	threads   int
	start     uint64 // clock ticks after boot: with the pid, which process it is
	comm      string
}

func (p process) String() string {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	if err != nil || len(cmdline) == 0 {
		return fmt.Sprintf("%d (%s) state %c, child of %d", p.pid, p.comm, p.state, p.ppid)
	}
	args := strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00")
	return fmt.Sprintf("%d %q state %c, child of %d", p.pid, args, p.state, p.ppid)
}

// readProcess reads /proc/PID/stat. The name stands in parentheses and may
// itself contain parentheses and spaces, so the fields count from the last one.
func readProcess(pid int) (process, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("/proc/%d/stat: no name in %q", pid, data)
	}
	p := process{pid: pid, comm: string(data[open+1 : end])}
	fields := strings.Fields(string(data[end+1:])) // fields[0] is field 3 of proc_pid_stat(5)
	if len(fields) < 20 {
		return process{}, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields)+2)
	}
	p.state = fields[0][0]
	if p.ppid, err = strconv.Atoi(fields[1]); err != nil {
		return process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	if p.threads, err = strconv.Atoi(fields[17]); err != nil {
		return process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	if p.start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return p, nil
}

// zombie says whether the process has ended and waits for its parent. While
// another thread executes a program, the first one is a zombie for a moment and
// the process lives on (de_thread in fs/exec.c).
func (p process) zombie() bool { return (p.state == 'Z' || p.state == 'X') && p.threads <= 1 }

// descendants returns the processes below root, parents before children.
//
// The table is not read at one moment: a parent may end after its child was
// read and before it was itself, and the child would hang in the air. So it is
// read again while somebody's parent is missing; a few times only, because
// hidepid hides parents for good (proc(5)).
func descendants(root int) []process {
	var children map[int][]process
	for range 5 {
		var complete bool
		if children, complete = processTable(); complete {
			break
		}
	}
	var found []process
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		found = append(found, queue[0])
		queue = append(queue, children[queue[0].pid]...)
	}
	return found
}

// processTable returns all processes by their parents, and whether each parent
// is among them.
func processTable() (children map[int][]process, complete bool) {
	children = map[int][]process{}
	dir, err := os.Open("/proc")
	if err != nil {
		return children, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return children, false
	}
	// the parent of init, and of whose parent is outside our namespace
	pids := map[int]bool{0: true}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil {
			children[p.ppid] = append(children[p.ppid], p)
			pids[pid] = true
		}
	}
	for parent := range children {
		if !pids[parent] {
			return children, false
		}
	}
	return children, true
}
