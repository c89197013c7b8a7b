package sys

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PipeFill returns how many bytes wait in the pipe (FIONREAD).
func PipeFill(fd int) (int, error) {
	n, err := unix.IoctlGetUint32(fd, unix.TIOCINQ) // the same number as FIONREAD on every Linux
	return int(n), wrap("ioctl(FIONREAD)", err)
}

// PipeSize returns the capacity of the pipe in bytes (F_GETPIPE_SZ, Linux 2.6.35).
func PipeSize(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	return n, wrap("fcntl(F_GETPIPE_SZ)", err)
}

// SetPipeSize sets the capacity of the pipe to at least n bytes and returns what it
// became (F_SETPIPE_SZ, Linux 2.6.35). EPERM: above /proc/sys/fs/pipe-max-size or the user's
// pipe-user-pages-soft (pipe(7)). EBUSY: more than n bytes wait in it.
func SetPipeSize(fd, n int) (int, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, n)
	return got, wrap("fcntl(F_SETPIPE_SZ)", err)
}

// NewPipe returns a new pipe, both ends non-blocking and close-on-exec.
func NewPipe() (r, w int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, -1, wrap("pipe2", err)
	}
	return p[0], p[1], nil
}

// local are the file systems that have nobody behind them but the kernel and its devices. An
// overlay is one: what it is made of is the choice of whoever runs the container.
var local = map[uint32]bool{
	unix.EXT4_SUPER_MAGIC:      true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:       true,
	unix.BTRFS_SUPER_MAGIC:     true,
	unix.TMPFS_MAGIC:           true,
	unix.RAMFS_MAGIC:           true,
	unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.F2FS_SUPER_MAGIC:      true,
	unix.EROFS_SUPER_MAGIC_V1:  true,
	unix.SQUASHFS_MAGIC:        true,
	unix.ISOFS_SUPER_MAGIC:     true,
	unix.UDF_SUPER_MAGIC:       true,
	unix.MSDOS_SUPER_MAGIC:     true,
	unix.EXFAT_SUPER_MAGIC:     true,
	unix.REISERFS_SUPER_MAGIC:  true,
	unix.NILFS_SUPER_MAGIC:     true,
	unix.JFFS2_SUPER_MAGIC:     true,
	unix.MINIX_SUPER_MAGIC:     true,
	unix.PROC_SUPER_MAGIC:      true,
	unix.SYSFS_MAGIC:           true,
	unix.CGROUP2_SUPER_MAGIC:   true,
	0x2fc12fc1:                 true, // ZFS, of its super_block's s_magic
	0xca451a4e:                 true, // bcachefs
	0x3153464a:                 true, // JFS (linux/fs/jfs/jfs_superblock.h)
	0x24051905:                 true, // UBIFS
	0x7366746e:                 true, // ntfs3
}

// LocalFS says whether path is on a file system of this machine alone, on which nothing waits for
// an answer of somebody else: another machine, or the program that serves FUSE. The question itself
// may wait (Within). Where it cannot be told the answer is no.
func LocalFS(path string) (bool, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return false, wrap("statfs", err)
	}
	return local[uint32(st.Type)], nil
}

// SetAside sets room aside for n bytes behind the end of f, as far as its file system can, and says
// whether that has room for them. The length of f stays (fallocate(2), FALLOC_FL_KEEP_SIZE: 2.6.23,
// tmpfs since 3.5). Only what is written there uses it up: to give it back the file would have to
// be truncated at its end, which another process may move at the same time.
func SetAside(f *os.File, end, n int64) (room bool) {
	err := WithFD(f, func(fd int) error {
		return retry(func() error {
			return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, end, n)
		})
	})
	return !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT)
}

// KeepsNothing says whether f is a device of which nothing can be read that was written to it:
// null, zero and full (the kernel's Documentation/admin-guide/devices.txt).
func KeepsNothing(f *os.File) bool {
	var st unix.Stat_t
	err := WithFD(f, func(fd int) error {
		return retry(func() error { return unix.Fstat(fd, &st) })
	})
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || unix.Major(uint64(st.Rdev)) != 1 {
		return false
	}
	minor := unix.Minor(uint64(st.Rdev))
	return minor == 3 || minor == 5 || minor == 7
}

// MemoryFile makes a file without a name that lives as long as somebody has it open: in memory on
// Linux (memfd_create, 3.17), else an unlinked one in the temporary directory. name is for people
// who look.
func MemoryFile(name string) (*os.File, error) {
	f, err := InMemory(name)
	if errors.Is(err, errors.ErrUnsupported) {
		return unlinkedFile(name)
	}
	return f, err
}

// InMemory is MemoryFile that makes no other file where there is none in memory.
func InMemory(name string) (*os.File, error) {
	fd, err := memfdCreate(name, unix.MFD_CLOEXEC)
	// EPERM: seccomp filters older than the call answer so; the call itself never does.
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return nil, Unsupported("memfd_create")
	}
	if err != nil {
		return nil, err
	}
	// Of such a file the kernel does not guard the position, as it does for others
	// (FMODE_ATOMIC_POS in fs/open.c): two who write at the same time would overwrite each other.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_RDWR|unix.O_APPEND); err != nil {
		return nil, Also(wrap("fcntl(F_SETFL)", err), CloseFD(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

func setModTime(f *os.File, _ string, t time.Time) error {
	mtime, err := unix.TimeToTimespec(t)
	if err != nil {
		return wrap("utimensat", err)
	}
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}
	return WithFD(f, func(fd int) error {
		// A null path means the descriptor itself (utimensat(2)); x/sys offers
		// only paths, and AT_EMPTY_PATH works here since Linux 5.8 alone.
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0,
			uintptr(unsafe.Pointer(&times)), 0, 0, 0)
		if errno != 0 {
			return wrap("utimensat", errno)
		}
		return nil
	})
}

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// sealedMemory is SealedFile by memfd_create.
func sealedMemory(name string, content []byte) (int, error) {
	fd, err := memfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	if err := writeAll(fd, content); err != nil {
		return -1, Also(err, CloseFD(fd))
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return -1, Also(wrap("fcntl(F_ADD_SEALS)", err), CloseFD(fd))
	}
	return fd, nil
}

// memfdCreate asks for a file that can not be executed: since Linux 6.3 a machine may refuse others
// (EACCES, sysctl vm.memfd_noexec), and older ones do not know of it (EINVAL).
func memfdCreate(name string, flags int) (int, error) {
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, wrap("memfd_create", err)
}

func sealed(fd int) bool {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && got&seals == seals
}

// widenPipe makes room for n bytes. If there is none, the write says so.
func widenPipe(fd, n int) {
	if n > 64<<10 {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, n)
	}
}

// Tee copies up to n bytes from the head of one pipe into another without taking
// them out of the first and without moving them in memory (tee(2), Linux 2.6.17). It
// does not wait: EAGAIN when nothing is there or the other pipe is full.
func Tee(from, to, n int) (int, error) {
	for {
		got, err := unix.Tee(from, to, n, unix.SPLICE_F_NONBLOCK)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, wrap("tee", err)
		}
		return int(got), nil
	}
}

// Of OpenDir.
const dirFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
