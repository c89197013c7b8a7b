// Package proctree finds every process that belongs to a daemon, and ends them all without hitting
// a stranger.
//
// # Who belongs to a daemon
//
// The main process; every descendant of a process that belongs; every process
// whose session is the daemon's own; and, where the caller names one, every
// process in a control group. A process once found belongs for as long as it lives, even if the
// parent that linked it to the daemon ends.
//
// A session is the daemon's own if a process that belongs leads it, or if its leader is gone, it
// has no terminal, and the one of us in it is the oldest in it and still in its
// first process group: that is what the second fork of daemon(7) leaves behind, and
// what the jobs of a login shell that has ended are not. So `nohup prog &` from a
// shell is stopped with its descendants, never with the shell's other jobs.
//
// What cannot be known: a process that made a session of its own and whose
// parent ended before we looked hangs on pid 1 like a stranger, and is taken for
// one. Who needs it must be its subreaper (Options.Adopted) or put the daemon into a
// control group (Options.Cgroup). And two programs that one non-interactive shell left
// behind in its session look like a daemon and its helper when the older
// is the one to be stopped: ScopeDescendants is for callers who expect that.
//
// # Nobody else
//
// A process is signalled only while it is held by a pidfd and after its start
// time was compared with the one it was found with (see sys.Process for kernels
// without pidfd). Pid 1, this process and its ancestors are never
// signalled, with one exception: the main process, which the caller named, may be our ancestor,
// as when a daemon's own child runs the command that stops it.
package proctree

import (
	"errors"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// Process is one process of the tree, as it was when last seen.
type Process struct {
	PID     int    `json:"pid"`
	Name    string `json:"name"` // comm: at most 15 bytes, chosen by the program, any bytes at all
	PPID    int    `json:"ppid"`
	Session int    `json:"session"`
	Start   uint64 `json:"start"` // sys.ProcStat.StartTime
}

// Scope says how far a stop reaches.
type Scope uint8

const (
	// ScopeTree is the main process, its descendants, and the sessions that
	// are its own: the default.
	ScopeTree Scope = iota
	// ScopeDescendants leaves out sessions without a leader.
	ScopeDescendants
	// ScopeMain is the main process alone.
	ScopeMain
)

// Options say where to look. The zero value is ScopeTree without more.
type Options struct {
	Scope Scope
	// Cgroup is a directory of cgroup v2, such as /sys/fs/cgroup/x: every
	// process in it or below it belongs. Empty: none.
	Cgroup string
	// Adopted is asked about each child of this process that nothing else
	// attributes: a process that is a subreaper (PR_SET_CHILD_SUBREAPER)
	// becomes the parent of every orphan below it. Nil: none belongs.
	Adopted func(Process) bool
}

// ErrRefused is wrapped by the error about a main process that is never to be
// stopped: pid 1, ourselves, or one whose identity is not known.
var ErrRefused = errors.New("refused")

// newTree checks that root may be stopped at all.
func newTree(root *sys.Process, o Options) (*tree, error) {
	id, err := root.Identity()
	switch {
	case root.PID <= 1:
		return nil, fmt.Errorf("stop process %d: %w: that is init", root.PID, ErrRefused)
	case root.PID == os.Getpid():
		return nil, fmt.Errorf("stop process %d: %w: that is this process", root.PID, ErrRefused)
	case err != nil:
		return nil, fmt.Errorf("stop process %d: %w: %w", root.PID, ErrRefused, err)
	}
	t := &tree{options: o, self: os.Getpid(), gone: hasEnded, root: key{id.PID, id.Start},
		members: map[int]*member{}, sessions: map[int]bool{}}
	st, err := sys.ReadStat(root.PID)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", root.PID, err)
	}
	if st.StartTime != id.Start {
		return nil, fmt.Errorf("process %d has ended: %w", root.PID, sys.ESRCH)
	}
	t.add(st)
	return t, nil
}

// hasEnded asks the kernel, not the list: under hidepid (proc(5)) the leader of a
// session may be there and not shown.
func hasEnded(pid int) bool {
	_, err := sys.ReadStat(pid)
	return errors.Is(err, sys.ESRCH)
}
