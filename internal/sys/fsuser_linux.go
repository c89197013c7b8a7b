package sys

import (
	"sync"

	"golang.org/x/sys/unix"
)

// fsUsers are the threads of this process that act as another user. A change of fsuid makes the
// kernel set the process's "dumpable" attribute to fs.suid_dumpable (PR_SET_DUMPABLE in prctl(2)):
// for all its threads, and for good. It is the memory's, as this is, and so the one state that a
// package can have of it.
var fsUsers struct {
	sync.Mutex
	threads  int
	dumpable bool // before the first of them
}

func setThreadFSUser(uid, gid int) (done func(), err error) {
	fsUsers.Lock()
	defer fsUsers.Unlock()
	if fsUsers.threads == 0 {
		was, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		fsUsers.dumpable = err == nil && was == 1
	}
	fsUsers.threads++
	if err := changeThreadFSUser(uid, gid); err != nil {
		leaveFSUser()
		return nil, err
	}
	return func() {
		fsUsers.Lock()
		defer fsUsers.Unlock()
		leaveFSUser()
	}, nil
}

func leaveFSUser() {
	if fsUsers.threads--; fsUsers.threads == 0 && fsUsers.dumpable {
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) // it has no reason to fail; a filter can only leave it off
	}
}

func changeThreadFSUser(uid, gid int) error {
	// The group first: without root's rights it cannot be changed any more. Neither call reports an
	// error; what they return is the id before, so a second call tells.
	if err := unix.Setfsgid(gid); err != nil {
		return wrap("setfsgid", err)
	}
	if now, _ := unix.SetfsgidRetGid(-1); now != gid {
		return wrap("setfsgid", unix.EPERM)
	}
	if err := unix.Setfsuid(uid); err != nil {
		return wrap("setfsuid", err)
	}
	if now, _ := unix.SetfsuidRetUid(-1); now != uid {
		return wrap("setfsuid", unix.EPERM)
	}
	return nil
}
