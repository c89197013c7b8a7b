//go:build unix && !aix

package spawn

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

// deathWait bounds how long a killed process may take to die: one in
// uninterruptible sleep (state D of proc(5)) does so only when a device answers.
const deathWait = 10 * time.Second

// endSession kills all that is left of the session of a watcher that died before its
// time: with it died the only parent who knew them. The caller has not reaped the
// watcher yet, so that the session's number is still its own. A descendant
// that has made a session of its own is out of reach.
func endSession(watcher int) error {
	for {
		members, err := sessionMembers(watcher)
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, sys.ErrHidden) {
			// No table to look in. The watcher led the first process group of its session, too.
			return sys.UnlessGone(sys.KillGroup(watcher, syscall.SIGKILL))
		}
		if err != nil || len(members) == 0 {
			return err
		}
		killSession(watcher) // all, before one that does not die is waited for
		for _, pid := range members {
			if err := endMember(pid, watcher); err != nil {
				return fmt.Errorf("end process %d: %w", pid, err)
			}
		}
	}
}

// killSession kills what is left of such a session without waiting for it. What cannot be killed is
// found again by endSession.
func killSession(watcher int) {
	members, err := sessionMembers(watcher)
	if err != nil {
		_ = sys.KillGroup(watcher, syscall.SIGKILL)
	}
	for _, pid := range members {
		if p, err := heldMember(pid, watcher); err == nil {
			_ = p.Signal(syscall.SIGKILL)
			_ = p.Close()
		}
	}
}

// sessionMembers lists the living processes of a session, but for its leader.
func sessionMembers(session int) ([]int, error) {
	var list sys.ProcList
	procs, err := list.Read()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range procs {
		if p.Session == session && p.PID != session && !p.Exited() {
			pids = append(pids, p.PID)
		}
	}
	return pids, nil
}

// endMember kills one process, once it is held and has been seen to be of the session then.
func endMember(pid, session int) error {
	p, err := heldMember(pid, session)
	if err != nil {
		return sys.UnlessGone(err)
	}
	defer p.Close()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return sys.UnlessGone(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deathWait)
	defer cancel()
	return p.Wait(ctx)
}

// heldMember holds a process that is of the session; ESRCH if there is none.
func heldMember(pid, session int) (*sys.Process, error) {
	p, err := sys.Pin(pid)
	if err != nil {
		return nil, err
	}
	stat, err := sys.ReadStat(pid)
	if err == nil && stat.Session != session {
		err = syscall.ESRCH
	}
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}
