package proctest

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/daemonry/daemonry/internal/sys"
)

// callNumbers has what can be missing: with each, the kernel that brought it.
var callNumbers = map[string]uint32{
	"kcmp":              unix.SYS_KCMP,              // 3.5, and only with CONFIG_KCMP
	"memfd_create":      unix.SYS_MEMFD_CREATE,      // 3.17
	"statx":             unix.SYS_STATX,             // 4.11
	"pidfd_send_signal": unix.SYS_PIDFD_SEND_SIGNAL, // 5.1
	"pidfd_open":        unix.SYS_PIDFD_OPEN,        // 5.3
	"clone3":            unix.SYS_CLONE3,            // 5.3
	"openat2":           unix.SYS_OPENAT2,           // 5.6
	"pidfd_getfd":       unix.SYS_PIDFD_GETFD,       // 5.6
	"faccessat2":        unix.SYS_FACCESSAT2,        // 5.8
	"close_range":       unix.SYS_CLOSE_RANGE,       // 5.9
	"epoll_pwait2":      unix.SYS_EPOLL_PWAIT2,      // 5.11
	"unshare":           unix.SYS_UNSHARE,           // forbidden in containers
}

// NewCalls are the system calls that internal/sys makes and that a kernel before 5.10 or a filter
// may not have.
func NewCalls() []string { return slices.Sorted(maps.Keys(callNumbers)) }

// launchNumbers has none that the Go runtime needs to start a program at all.
var launchNumbers = map[string]uint32{
	"chdir":       unix.SYS_CHDIR,
	"dup3":        unix.SYS_DUP3,
	"flock":       unix.SYS_FLOCK,
	"ftruncate":   unix.SYS_FTRUNCATE,
	"getsockname": unix.SYS_GETSOCKNAME,
	"getsockopt":  unix.SYS_GETSOCKOPT,
	"kill":        unix.SYS_KILL,
	"prctl":       unix.SYS_PRCTL,
	"recvmsg":     unix.SYS_RECVMSG,
	"sendmsg":     unix.SYS_SENDMSG,
	"setsid":      unix.SYS_SETSID,
	"socketpair":  unix.SYS_SOCKETPAIR,
	"umask":       unix.SYS_UMASK,
	"utimensat":   unix.SYS_UTIMENSAT,
	"wait4":       unix.SYS_WAIT4,
	"waitid":      unix.SYS_WAITID,
}

// LaunchCalls are system calls that every kernel has and a launch can not be without, or is not the
// same without.
func LaunchCalls() []string { return slices.Sorted(maps.Keys(launchNumbers)) }

// ForbidCall has the kernel answer a system call of NewCalls or LaunchCalls with an error number,
// to this process and all below it, for ever (seccomp(2), Linux 3.17). Container engines answer
// EPERM, or ENOSYS, which is also what an older kernel says; here it is for tests of what happens
// then.
//
// Only Linux; elsewhere the error wraps errors.ErrUnsupported.
func ForbidCall(name string, errno syscall.Errno) error {
	number, known := callNumbers[name]
	if !known {
		number, known = launchNumbers[name]
	}
	if !known {
		return fmt.Errorf("forbid system call %q: not in the table", name)
	}
	filter := []unix.SockFilter{
		// the number is the first of struct seccomp_data
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Only the thread that has no_new_privs may set a filter without CAP_SYS_ADMIN; all get both
	// with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := sys.SetNoNewPrivs(); err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return os.NewSyscallError("seccomp", e)
	}
	return nil
}
