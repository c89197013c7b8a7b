package sys

import (
	"errors"
	"io/fs"
	"os"
)

// ErrInsecure says that somebody else could have planted what was found.
var ErrInsecure = errors.New("insecure")

// TrustedOpen says what OpenTrusted shall open; the zero value opens an
// existing file of any type for reading.
type TrustedOpen struct {
	// Flags are those of os.OpenFile: one of O_RDONLY, O_WRONLY, O_RDWR, and any of O_CREATE,
	// O_EXCL, O_APPEND, O_TRUNC, O_SYNC. O_CLOEXEC and O_NOCTTY are always added.
	Flags int
	// Mode is the exact mode of a file that is created, whatever the umask.
	Mode fs.FileMode
	// Owner is given a file that is created; nil leaves it to us.
	Owner *Owner
	// Regular refuses everything but a regular file, before opening it: opening a
	// FIFO can block, and opening a device can have effects.
	Regular bool
	// Single refuses an existing regular file with a second hard link, in a directory that others
	// may write: they may have linked what they could not read. With O_CREATE that is so in any
	// case.
	Single bool
	// Ours refuses what anybody but root and us could have put there: in any directory on the way,
	// or as the file.
	Ours bool
}

// Owner is a user and a group by number; -1 leaves the one or the other as it is.
type Owner struct{ UID, GID int }

// OpenTrusted opens or creates a file by a path on which only root and we have
// a say. It walks the path component by component and follows a symbolic link
// only if root or our effective user owns it, so a link that somebody planted
// in /tmp leads nowhere; the refusal names the component and its owner and
// wraps ErrInsecure. Links of /proc, such as the one behind /dev/stdout, are
// followed by the kernel under the same condition.
//
// With O_CREATE, an existing regular file in a directory that others may write
// is refused if it has a second hard link, or if somebody else owns both: the
// rule of fs.protected_regular (proc_sys_fs(5)), in force whatever the sysctl says.
//
// No open waits for a peer: a FIFO without a reader cannot be written to (ENXIO, which is said in
// words). What is opened is in blocking mode all the same.
//
// created reports whether this call made the file. If its mode or owner cannot
// be set, it is removed again.
//
// Linux walks with O_PATH descriptors, so nothing can be exchanged under it.
// Elsewhere the walk goes by names, and the file opened is compared with the one looked at.
func OpenTrusted(path string, o TrustedOpen) (f *os.File, created bool, err error) {
	return openTrusted(path, o)
}

// RemoveTrusted removes the file at path, by a way that OpenTrusted would go, if it is the one that
// info is of. It is no error if there is another one, or none.
func RemoveTrusted(path string, info fs.FileInfo) error { return removeTrusted(path, info) }

// FileOwner returns what os.FileInfo hides behind Sys: the owner and the number of hard links.
func FileOwner(fi fs.FileInfo) (owner Owner, links uint64, err error) { return fileOwner(fi) }

// MakeTrustedDir makes a directory by a path on which only root and we have a say, as OpenTrusted
// makes a file: with exactly this mode, whatever the umask, and this owner. Everything above it
// must be there, and what it is made in must belong to root or us, and be writable to others only
// with the sticky bit. The error wraps fs.ErrExist where there is something of that name.
func MakeTrustedDir(path string, mode fs.FileMode, owner Owner) error {
	return makeTrustedDir(path, mode, owner)
}
