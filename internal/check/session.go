package check

import (
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/internal/sys"
)

// The four steps about forks and sessions read the same few numbers. Their
// logic rests on three facts of the kernel: a session is left only by setsid(2),
// which makes the caller its leader; a child is born into its parent's
// session; and the parent of a process changes only when that parent ends, to
// the nearest living subreaper or to pid 1.

// leads says whether the process is the leader of its session.
func (f *facts) leads() bool { return f.stat.Session == f.stat.PID }

// leaderLives says whether somebody else who leads its session is still there.
// While a session has members its number is not given to a new process, so
// whoever has that number is the leader.
func (f *facts) leaderLives() bool { return !f.leads() && f.leaderErr == nil && !f.leader.Exited() }

// leaderHidden says that there is such a leader, and /proc does not show it.
func (f *facts) leaderHidden() bool { return !f.leads() && errors.Is(f.leaderErr, sys.ErrHidden) }

// outside says that the session was made outside of this pid namespace, as for
// a process that was put into a container.
func (f *facts) outside() bool { return f.stat.Session == 0 }

func (f *facts) forked() finding {
	switch {
	case f.forkedAgain().result == Pass:
		return passf("it was forked by the leader of session %d, which is gone", f.stat.Session)
	case f.stat.PPID == 1:
		return unseenf(
			"its parent is pid 1: it was forked and left behind, or pid 1 started it as it is",
		)
	case f.stat.PPID == 0:
		return unseenf("its parent is outside of this pid namespace")
	case f.parentErr != nil:
		return unseenf("its parent %d cannot be seen: %v", f.stat.PPID, f.parentErr)
	case f.reparented().result == Pass:
		return passf("its parent has changed to %s", describe(f.parent))
	case f.stat.Session == f.parent.Session:
		return failf("it is still the child, and in the session, of %s", describe(f.parent))
	}
	return unseenf("its parent is %s, which started it or adopted it: the kernel does not tell",
		describe(f.parent))
}

func (f *facts) ownSession() finding {
	switch {
	case f.stat.TTYNr != 0:
		return failf("it has the controlling terminal %s in session %d",
			terminalName(f.stat.TTYNr), f.stat.Session)
	case f.leads():
		return passf("session %d is its own and has no terminal", f.stat.Session)
	case f.outside():
		return unseenf("it has no terminal; its session was made outside of this pid namespace")
	case f.leaderLives():
		return failf("it is in session %d of %s", f.stat.Session, describe(f.leader))
	case f.leaderHidden():
		return failf("it is in session %d, whose leader is still there and may not be seen",
			f.stat.Session)
	case f.stat.PGRP != f.stat.Session:
		// A shell with job control puts every job in a group of its own; the
		// first child of daemon(7) does not.
		return unseenf("session %d has no leader and no terminal, but process group %d: a "+
			"daemon's session, or that of a login that has ended",
			f.stat.Session, f.stat.PGRP)
	}
	return passf("session %d has no terminal, and its leader is gone", f.stat.Session)
}

func (f *facts) forkedAgain() finding {
	own := f.ownSession()
	switch {
	case f.leads():
		return failf("it leads session %d: a terminal that it opens without O_NOCTTY may become "+
			"its controlling terminal", f.stat.Session)
	case own.result == Fail:
		return failf("it has no session of its own (step 6), so it was not forked from within one")
	case own.result == NotObservable:
		return unseenf("it does not lead session %d, which may not be its own (step 6)",
			f.stat.Session)
	}
	return passf("it does not lead session %d, so it cannot acquire a terminal", f.stat.Session)
}

func (f *facts) reparented() finding {
	switch {
	case f.stat.PPID == 1:
		return passf("its parent is pid 1")
	case f.stat.PPID == 0:
		return unseenf("its parent is outside of this pid namespace")
	case f.parentErr != nil:
		return unseenf("its parent %d cannot be seen: %v", f.stat.PPID, f.parentErr)
	case f.stat.Session == f.parent.Session:
		return failf(
			"its parent %s is of the same session: the parent that forked it is still there",
			describe(f.parent),
		)
	case f.leads():
		return unseenf("its parent is %s: a subreaper, or the one that forked it",
			describe(f.parent))
	case f.leaderHidden():
		return unseenf("its parent is %s; the leader of its session may not be seen",
			describe(f.parent))
	case f.leaderLives():
		return failf("its parent is %s, and the leader of its session, %s, is still there",
			describe(f.parent), describe(f.leader))
	}
	// It never led this session, so it was born into it; a parent in another
	// session is not the one that forked it.
	return passf("its parent %s is of another session: it was adopted, by a subreaper",
		describe(f.parent))
}

func (f *facts) readiness() finding {
	return unseenf("what went over the pipe to the original process leaves no trace; the exit " +
		"status of the command that started it tells")
}

func (f *facts) originalGone() finding {
	switch f.reparented().result {
	case Fail:
		return failf("not even its parent %s has exited", describe(f.parent))
	case Pass:
		return unseenf("the one that forked it is gone (step 8); who called that one, the kernel " +
			"does not record")
	}
	return unseenf("the kernel does not record who started it")
}

// terminalName turns the tty_nr of proc(5) into the usual name of the device.
func terminalName(nr int) string {
	major, minor := nr>>8&0xfff, nr&0xff|nr>>12&0xfff00
	switch {
	case major >= 136 && major <= 143:
		return fmt.Sprintf("/dev/pts/%d", (major-136)<<8+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("/dev/tty%d", minor)
	case major == 4:
		return fmt.Sprintf("/dev/ttyS%d", minor-64)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}
