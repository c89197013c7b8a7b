package sys

import (
	"os"
	"time"
)

// StartByte is the one byte of a lock file that only a start in progress has locked (LockForStart).
// It is far behind all content.
const StartByte = 1 << 40

// LockForLife takes the locks of a file for a process that is to have it open for life, and need
// not write to it: the flock(2) lock, and an open-file-description lock for reading on all but
// StartByte, by which LockedByOther and programs that lock with fcntl see it. Errors as those of
// TryFlock and TryOFDLock. Linux only.
func LockForLife(f *os.File) error { return lockForLife(f) }

// LockForStart takes StartByte, for as long as a start is in progress; f must be open for writing.
// Errors as those of TryOFDLock.
func LockForStart(f *os.File) error { return lockForStart(f) }

// WriteLocked asks whether another description has an fcntl lock for writing on any part of f,
// StartByte too. On Linux only who may write to a file gets one: a lock for reading, and that of
// flock(2), is given to whoever may open the file. errors.ErrUnsupported as for LockedByOther.
func WriteLocked(f *os.File) (bool, error) { return writeLocked(f) }

// A Locker is a process that has a file open under a lock.
type Locker struct {
	PID, UID int  // the real user
	Flock    bool // flock(2), or a lock of the process itself (F_SETLK)
	OFD      bool // an open-file-description lock
}

// Lockers are those that are seen: of the processes that we may look into, and of those that
// /proc/locks names. None elsewhere than on Linux.
func Lockers(f *os.File) []Locker { return lockers(f) }

// HoldsLock says whether process pid has f's file open under a lock: that it is shown so in its
// /proc/PID/fdinfo (Linux 4.1). Where that cannot be seen it is false.
func HoldsLock(pid int, f *os.File) bool { return holdsLock(pid, f) }

// ChangedAt is when the content or anything of the inode of a file was last changed (st_ctime,
// inode(7)): only who may write to the file or owns it can bring that forward. Linux only.
func ChangedAt(f *os.File) (time.Time, error) { return changedAt(f) }

// OpenUnlinked opens the files that were called path, have been removed, and are still open under
// an open-file-description lock in some process that we may look into: at most most. Linux only,
// and none elsewhere.
//
// It looks at all descriptors of all processes, which takes milliseconds, but only if some file of
// that file system is locked so that is not in path's directory now.
func OpenUnlinked(path string, most int) []*os.File { return openUnlinked(path, most) }

// CloseInherited closes the descriptors of this process, but for f itself, that have f's file open
// under a lock and would outlive execve(2): those that it was born with.
func CloseInherited(f *os.File) { closeInherited(f) }
