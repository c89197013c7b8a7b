package sys

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openInputAs opens with the rights of c, on a thread that has no others and then ends. Its user is another
// for files only (setfsuid(2)): were it another in full, c could kill the thread, and us with it.
func openInputAs(path string, c Credential) (f *os.File, err error) {
	done := make(chan struct{})
	OnThread(func() {
		defer close(done)
		if err = becomeForFiles(c); err == nil {
			f, err = openInputHere(path)
		}
	})
	<-done
	return f, err
}

func becomeForFiles(c Credential) error {
	err := setThreadGroups(c.Groups)
	if err == nil {
		err = setThreadFSUser(int(c.UID), int(c.GID))
	}
	if err == nil {
		// The change of fsuid has taken those for files away, unless a launcher forbade it (SECBIT_NO_SETUID_FIXUP).
		err = setThreadCapabilities(0, NoAmbient)
	}
	if err != nil {
		return fmt.Errorf("open as user %d: %w", c.UID, err)
	}
	return nil
}

// nameless says whether a pipe is one of pipe(2).
func nameless(f *os.File) bool {
	const pipefs = 0x50495045 // PIPEFS_MAGIC, statfs(2)
	var st unix.Statfs_t
	err := withFD(f, func(fd int) error { return retry(func() error { return unix.Fstatfs(fd, &st) }) })
	return err == nil && int64(st.Type) == pipefs
}
