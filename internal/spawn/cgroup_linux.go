package spawn

import (
	"os"
	"syscall"
)

const canBearInto = true

// bearInto has the child be born in a control group (CLONE_INTO_CGROUP, Linux 5.7), so that
// there is no moment at which it, or what it forks, is anywhere else.
func bearInto(attr *syscall.SysProcAttr, group *os.File) {
	if group != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(group.Fd())
	}
}

// isCgroupError knows what clone3(2) says when the group is in the way, as against the program.
// ENOSYS is a kernel, or a sandbox, without clone3, and EPERM is what older sandboxes say of it. It
// can be execve(2)'s word, too: the caller tries without, and hears which it was.
func isCgroupError(group *os.File, err error) bool {
	if group == nil {
		return false
	}
	switch err {
	case syscall.EBUSY, syscall.ENODEV, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EPERM,
		syscall.EBADF:
		return true
	}
	return false
}
