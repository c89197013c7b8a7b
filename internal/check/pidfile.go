package check

import (
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/pidfile"
)

// pidFile judges the file that should name the process. One of ours proves it,
// by its lock or its fingerprint. One that another program wrote is believed when it is
// not older than the process; a lock on it that the process holds is better.
func (f *facts) pidFile() finding {
	path := f.options.PIDFile
	if path == "" {
		if path = f.openPIDFile(); path == "" {
			return unseenf("no pid file was named, and it holds none open")
		}
	}
	name := clean(path)
	found, err := pidfile.Find(path)
	if err != nil {
		return failf("%s", clean(err.Error()))
	}
	defer found.Close() // it holds nothing that an error could lose
	switch {
	case found.State == pidfile.Absent:
		return failf("%s does not exist", name)
	case found.PID == 0:
		return failf("%s names no process: %s", name, clean(found.Why.Error()))
	case found.PID != f.stat.PID:
		return failf("%s names %d, which is %s", name, found.PID, found.State)
	case found.State == pidfile.Running:
		return passf("%s names it, proven by lock or fingerprint", name)
	case found.State == pidfile.Unproven:
		return f.foreignPIDFile(path, name)
	}
	return failf("%s is stale: %s", name, clean(found.Why.Error()))
}

func (f *facts) foreignPIDFile(path, name string) finding {
	file, err := sys.Statx(path)
	if err != nil {
		return failf("%s", clean(err.Error()))
	}
	for _, fd := range f.fds {
		if fd.File.Same(file) && len(fd.LockedBy) > 0 {
			return passf("%s names it, and its descriptor %d has a lock on it", name, fd.Number)
		}
	}
	return passf("%s names it and was written since it started; it has no lock", name)
}

// openPIDFile returns the path of a descriptor that looks like a pid file, if
// we reach the same file by that path: in a container we do not.
func (f *facts) openPIDFile() string {
	for _, fd := range f.fds {
		if fd.Number <= 2 || !fd.File.Is(syscall.S_IFREG) || !strings.HasSuffix(fd.Target, ".pid") {
			continue
		}
		if file, err := sys.Statx(fd.Target); err == nil && file.Same(fd.File) {
			return fd.Target
		}
	}
	return ""
}
