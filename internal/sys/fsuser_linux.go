package sys

import "golang.org/x/sys/unix"

func setThreadFSUser(uid, gid int) error {
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
