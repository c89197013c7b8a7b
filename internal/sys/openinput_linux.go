package sys

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openInputAs opens with the rights of c, on a thread that has no others and then ends. Its user is
// another for files only (setfsuid(2)): were it another in full, c could kill the thread, and us
// with it.
//
// It is still a thread of ours, to which the kernel shows what we have open (ptrace(2), "same
// thread group"): so a link of c's to /proc/self/fd/N would lead to a memory file of ours, or to a
// file in a directory that c may not enter. No such link is followed.
func openInputAs(path string, c Credential) (f *os.File, err error) {
	done := make(chan struct{})
	OnThread(func() {
		defer close(done)
		var leave func()
		if leave, err = becomeForFiles(c); err == nil {
			defer leave()
			f, err = openInputBy(path, openWithoutMagic)
		}
	})
	<-done
	return f, err
}

// openWithoutMagic is open(2) that fails with ELOOP at a link of /proc that is more than its text.
// Without openat2(2) (before Linux 5.6, or refused by a filter) it cannot be had.
func openWithoutMagic(path string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err == unix.ENOSYS || err == unix.EPERM {
		err = Unsupported("openat2 (Linux 5.6)")
	}
	return fd, err
}

func becomeForFiles(c Credential) (leave func(), err error) {
	if err = setThreadGroups(c.Groups); err == nil {
		leave, err = setThreadFSUser(int(c.UID), int(c.GID))
	}
	if err == nil {
		// The change of fsuid has taken those for files away, unless a launcher forbade it
		// (SECBIT_NO_SETUID_FIXUP).
		if err = setThreadCapabilities(0, NoAmbient); err != nil {
			leave()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open as user %d: %w", c.UID, err)
	}
	return leave, nil
}

// nameless says whether a pipe is one of pipe(2).
func nameless(f *os.File) bool {
	const pipefs = 0x50495045 // PIPEFS_MAGIC, statfs(2)
	var st unix.Statfs_t
	err := withFD(f, func(fd int) error { return retry(func() error { return unix.Fstatfs(fd, &st) }) })
	return err == nil && int64(st.Type) == pipefs
}
