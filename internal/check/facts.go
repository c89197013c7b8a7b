package check

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// facts is all that is read of a process, once, before anything is judged. A
// part that could not be read has its error beside it.
type facts struct {
	options Options
	stat    sys.ProcStat
	status  sys.ProcStatus
	started time.Time // by today's wall clock

	parent, leader       sys.ProcStat // of the session; zero when gone or hidden
	parentErr, leaderErr error

	blocked     sys.SignalSet
	blockedErr  error
	fds         []sys.FD
	fdsErr      error
	environ     []byte
	environErr  error
	socketTable map[uint64]socket // see sockets
	unit        string            // the systemd service it belongs to, "" if to none

	cwd, root         sys.FileStat
	cwdPath, rootPath string
	cwdErr            error
	mounts            []sys.Mount
	known             []sys.FileStat // Options.Files that exist
}

func gather(st sys.ProcStat, o Options) (*facts, error) {
	f := &facts{options: o, stat: st}
	var err error
	if f.status, err = sys.ReadStatus(st.PID); errors.Is(err, sys.ESRCH) {
		return nil, vanished(st)
	} else if err != nil {
		return nil, fmt.Errorf("process %d (%s): %w", st.PID, clean(st.Comm), err)
	}
	if f.status.TGID != st.PID {
		return nil, fmt.Errorf("%d is a thread of process %d: %w",
			st.PID, f.status.TGID, ErrNoProcess)
	}
	if !f.status.Memory {
		return nil, fmt.Errorf("process %d (%s) is a thread of the kernel or is just ending: %w",
			st.PID, clean(st.Comm), ErrNoProcess)
	}
	if f.started, err = sys.StartedAt(st); err != nil {
		return nil, fmt.Errorf("process %d: %w", st.PID, err)
	}
	f.parent, f.parentErr = sys.ReadStat(st.PPID)
	f.leader, f.leaderErr = sys.ReadStat(st.Session)
	f.fds, f.fdsErr = sys.ReadFDs(st.PID)
	f.environ, f.environErr = sys.Environ(st.PID)
	f.unit = unitOf(st.PID)
	f.gatherSignals()
	f.gatherDirectories()
	for _, name := range o.Files {
		if file, err := sys.Statx(name); err == nil {
			f.known = append(f.known, file)
		}
	}
	return f, nil
}

// looks is how often a mask that is not empty is read. A program that waits in ppoll(2) or
// sigsuspend(2) shows the mask of the wait, and a thread that is being made or forks has everything
// blocked for a moment, which lasts as long as it has to wait for a processor: what is there in
// every look, each twice as far from the one before, is there to stay.
const (
	looks    = 5
	lookWait = 10 * time.Millisecond // between the first two
)

func (f *facts) gatherSignals() {
	f.blocked, f.blockedErr = sys.BlockedEverywhere(f.stat.PID)
	for i := 1; i < looks && f.blockedErr == nil && f.blocked != 0; i++ {
		<-time.After(lookWait << (i - 1))
		var again sys.SignalSet
		again, f.blockedErr = sys.BlockedEverywhere(f.stat.PID)
		f.blocked &= again
	}
}

func (f *facts) gatherDirectories() {
	var rootErr, mountErr error
	f.cwdPath, f.cwd, f.cwdErr = sys.DirectoryOf(f.stat.PID, "cwd")
	f.rootPath, f.root, rootErr = sys.DirectoryOf(f.stat.PID, "root")
	f.mounts, mountErr = sys.Mounts(f.stat.PID)
	f.cwdErr = errors.Join(f.cwdErr, rootErr, mountErr)
}

// unitOf returns the name of the systemd service whose control group holds the
// process. A login session is a scope, not a service, and so is not meant.
func unitOf(pid int) string {
	groups, err := sys.Cgroups(pid)
	if err != nil {
		return ""
	}
	for _, controls := range []string{"name=systemd", ""} {
		if base := path.Base(groups[controls]); strings.HasSuffix(base, ".service") {
			return base
		}
	}
	return ""
}

// caught are the signals with a handler, without the two or three that the C
// libraries take for themselves in programs with threads (32 and 33 in glibc, 34 too in musl).
func (f *facts) caught() sys.SignalSet {
	const libc = sys.SignalSet(1<<31 | 1<<32 | 1<<33)
	return f.status.Caught &^ libc
}

// setsUp says that the program did something of its own since execve: it
// catches signals, or has a descriptor that can only have been made by it.
func (f *facts) setsUp() bool {
	return f.caught() != 0 || slices.ContainsFunc(f.fds,
		func(fd sys.FD) bool { return fd.CloseOnExec() || isEventQueue(fd) })
}

// inert says that nothing shows the program ever to have set up anything for
// itself, not even a socket that it serves, though that could have been inherited.
func (f *facts) inert() bool {
	return f.fdsErr == nil && !f.setsUp() &&
		!slices.ContainsFunc(f.fds, func(fd sys.FD) bool { return f.socketOf(fd).serves })
}

// mayNotLook turns the error of a read into a finding.
func mayNotLook(what string, err error) finding {
	if errors.Is(err, os.ErrPermission) {
		return unseenf(
			"%s: not ours to see: the process is another user's or has privileges that we lack",
			what,
		)
	}
	return unseenf("%s: %v", what, err)
}
