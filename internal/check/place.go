package check

import (
	"strings"
)

// umask judges the mode mask. Step 10 of daemon(7) is umask(0), so that the
// daemon's own modes apply; we set 0022, because few programs give modes with
// that in mind and files that everybody may write are the result. Both are right;
// what nobody chooses on purpose is not.
func (f *facts) umask() finding {
	const owner, othersWrite = 0o700, 0o002
	mask := f.status.Umask
	switch {
	case mask < 0:
		return unseenf("the kernel does not show it (it does since Linux 4.7)")
	case mask == 0:
		return passf("umask 0000: the modes that the program gives apply")
	case mask&owner != 0:
		return failf(
			"umask %04o takes rights away from the owner: the daemon cannot use what it makes",
			mask,
		)
	case mask&othersWrite == 0:
		return failf("umask %04o is not 0, and lets everybody write what the daemon makes", mask)
	}
	return passf("umask %04o: nobody else may write what the daemon makes", mask)
}

// workingDirectory judges cwd: a daemon in a directory of a mounted file
// system keeps it from being unmounted.
func (f *facts) workingDirectory() finding {
	if f.cwdErr != nil {
		return mayNotLook("its working directory", f.cwdErr)
	}
	dir := clean(f.cwdPath)
	switch {
	case strings.HasSuffix(f.cwdPath, " (deleted)"):
		return failf("%s: the directory is gone", dir)
	case f.cwd.Same(f.root) && f.rootPath == "/":
		return passf("/")
	case f.cwd.Same(f.root):
		return passf("%s, which is its root directory (chroot)", dir)
	}
	switch point := f.mountPoint(); point {
	case "":
		return unseenf("%s, on a file system that is not in its mountinfo", dir)
	case "/":
		return passf("%s, on the root file system, which is never unmounted", dir)
	default:
		return failf("%s keeps the file system mounted at %s busy", dir, clean(point))
	}
}

// mountPoint finds where the file system of cwd is mounted: by the mount id,
// on kernels that tell it (5.8), else by the device number.
func (f *facts) mountPoint() string {
	point := ""
	for _, m := range f.mounts {
		if f.cwd.Mount != 0 {
			if m.ID == f.cwd.Mount {
				return m.Point
			}
			continue
		}
		below := strings.HasPrefix(f.cwdPath+"/", strings.TrimSuffix(m.Point, "/")+"/")
		if m.Dev == f.cwd.Dev && below && len(m.Point) > len(point) {
			point = m.Point
		}
	}
	return point
}
