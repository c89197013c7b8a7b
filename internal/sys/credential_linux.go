package sys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fsUsers are the threads of this process that act as another user. A change of fsuid makes the
// kernel set the process's "dumpable" attribute to fs.suid_dumpable (PR_SET_DUMPABLE in prctl(2)):
// for all its threads, and for good. It is the memory's, as this is, and so the one state that a
// package can have of it.
var fsUsers struct {
	sync.Mutex
	threads  int
	dumpable bool // before the first of them
}

// SetThreadFSUser makes the calling thread look like that user where files are concerned
// (setfsuid(2)), and nowhere else: others cannot signal the process for it. The thread must be
// locked and never be given back. Until done, which is to be called when it does no more as that
// user, the process is not "dumpable" (prctl(2)): nobody but root may look into it, and it leaves
// no core dump, which could become a file of that user. Linux only.
func SetThreadFSUser(uid, gid int) (done func(), err error) {
	fsUsers.Lock()
	defer fsUsers.Unlock()
	if fsUsers.threads == 0 {
		was, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		fsUsers.dumpable = err == nil && was == 1
	}
	fsUsers.threads++
	if err := changeThreadFSUser(uid, gid); err != nil {
		leaveFSUser()
		return nil, err
	}
	return func() {
		fsUsers.Lock()
		defer fsUsers.Unlock()
		leaveFSUser()
	}, nil
}

func leaveFSUser() {
	if fsUsers.threads--; fsUsers.threads == 0 && fsUsers.dumpable {
		// It has no reason to fail; a filter can only leave it off.
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}
}

func changeThreadFSUser(uid, gid int) error {
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

// GainedPrivileges says whether this process got more rights by executing its program than it had
// before: the program is set-user-ID or set-group-ID, or its file has capabilities (AT_SECURE,
// getauxval(3)). Where that cannot be told it says yes; elsewhere than on Linux, no.
func GainedPrivileges() bool {
	const secure = 23 // AT_SECURE of linux/auxvec.h
	vector, err := unix.Auxv()
	if err != nil {
		return true
	}
	for _, pair := range vector {
		if pair[0] == secure {
			return pair[1] != 0
		}
	}
	return true
}

// Of the set*id calls the plain ones take 16-bit ids on 386 and arm, which have the others under
// numbers of their own.
var sysSetgroups, sysSetresgid, sysSetresuid = func() (groups, gid, uid uintptr) {
	if runtime.GOARCH == "386" || runtime.GOARCH == "arm" {
		return 206, 210, 208 // setgroups32, setresgid32, setresuid32 of asm/unistd_32.h
	}
	return unix.SYS_SETGROUPS, unix.SYS_SETRESGID, unix.SYS_SETRESUID
}()

// The set*id calls below are the kernel's, which change the calling thread. Those of package
// syscall change every thread, which the caller must not want, and those of x/sys are the same.

func setThreadIDs(name string, call, ids uintptr) error {
	if _, _, errno := unix.RawSyscall(call, ids, ids, ids); errno != 0 {
		return wrap(name, errno)
	}
	return nil
}

// SetThreadCredential becomes c: groups first, then gid, then uid, because each
// needs the right that the next gives up. With RetainCaps the permitted
// capabilities outlive the change of uid (PR_SET_KEEPCAPS), for SetThreadCapabilities.
//
// On Linux it acts on the calling thread alone, as the kernel does; the caller
// holds the thread (runtime.LockOSThread), never gives it back, and starts or executes
// the target from it. Elsewhere the whole process changes.
func SetThreadCredential(c Credential, keep KeepCaps) error {
	if keep == RetainCaps {
		if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
			return wrap("prctl(PR_SET_KEEPCAPS)", err)
		}
	}
	if err := setThreadGroups(c.Groups); err != nil {
		return err
	}
	if err := setThreadIDs("setresgid", sysSetresgid, uintptr(c.GID)); err != nil {
		return err
	}
	wasRoot := unix.Geteuid() == 0
	if err := setThreadIDs("setresuid", sysSetresuid, uintptr(c.UID)); err != nil {
		return err
	}
	if keep == DropCaps && wasRoot && c.UID != 0 {
		// The kernel has done it, unless somebody before us forbade it (SECBIT_NO_SETUID_FIXUP,
		// capabilities(7)).
		return SetThreadCapabilities(0, NoAmbient)
	}
	return nil
}

func setThreadGroups(groups []uint32) error {
	var p unsafe.Pointer
	if len(groups) > 0 {
		p = unsafe.Pointer(&groups[0])
	}
	// An ordinary user may not call setgroups at all.
	if have, err := unix.Getgroups(); err == nil && sameGroups(have, groups) {
		return nil
	}
	_, _, errno := unix.RawSyscall(sysSetgroups, uintptr(len(groups)), uintptr(p), 0)
	if errno != 0 {
		return wrap("setgroups", errno)
	}
	return nil
}

// MaySetGroups says whether this process may change its groups: on Linux one with CAP_SETGID,
// unless its user namespace denies it (/proc/self/setgroups, user_namespaces(7)); elsewhere root.
func MaySetGroups() bool {
	caps, err := threadCapabilities()
	if err != nil || caps&(1<<unix.CAP_SETGID) == 0 {
		return false
	}
	denied, err := os.ReadFile("/proc/self/setgroups")
	return err != nil || !strings.HasPrefix(string(denied), "deny")
}

// VerifyCredential proves that the calling thread is c and nothing more: real, effective and saved
// ids, exactly these groups, and no way back to root but CAP_SETUID, if that is among the
// capabilities that were kept on purpose. A launcher can have set that none is lost with root's uid
// (SECBIT_NO_SETUID_FIXUP, capabilities(7)).
func VerifyCredential(c Credential, kept CapSet) error {
	r, e, s := unix.Getresuid()
	if u := int(c.UID); r != u || e != u || s != u {
		return fmt.Errorf("uid is %d/%d/%d, not %d", r, e, s, u)
	}
	r, e, s = unix.Getresgid()
	if g := int(c.GID); r != g || e != g || s != g {
		return fmt.Errorf("gid is %d/%d/%d, not %d", r, e, s, g)
	}
	have, err := unix.Getgroups()
	if err != nil {
		return wrap("getgroups", err)
	}
	if !sameGroups(have, c.Groups) {
		return fmt.Errorf("supplementary groups are %v, not %v", have, c.Groups)
	}
	if c.UID == 0 {
		return nil
	}
	caps, err := threadCapabilities()
	if err != nil {
		return err
	}
	switch setuid := CapSet(1 << unix.CAP_SETUID); {
	case kept&setuid != 0:
		return nil // the way back is open and was asked for
	case caps&setuid != 0:
		return errors.New("CAP_SETUID is left, with which root could be regained")
	}
	const same = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(sysSetresuid, same, 0, same); errno == 0 {
		return errors.New("root could be regained after it was given up")
	}
	return nil
}

// SetProcessCredential is SetThreadCredential with DropCaps for every thread of this process, by
// the calls of package syscall, which change all of them or end the process. The capabilities that
// root's uid leaves behind by somebody's wish (SECBIT_NO_SETUID_FIXUP) stay: a program with cgo has
// no call for all threads, and VerifyProcessCredential finds them.
func SetProcessCredential(c Credential) error {
	have, err := unix.Getgroups()
	if err != nil || !sameGroups(have, c.Groups) { // an ordinary user may not call setgroups
		if err := syscall.Setgroups(c.groups()); err != nil {
			return wrap("setgroups", err)
		}
	}
	gid, uid := int(c.GID), int(c.UID)
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return wrap("setresgid", err)
	}
	return wrap("setresuid", syscall.Setresuid(uid, uid, uid))
}

// OpenThreads opens the list of this process's threads for VerifyProcessCredential, before /proc is
// out of reach (chroot). It is nil where there is no /proc; then nobody else could be asked either.
func OpenThreads() (*os.File, error) {
	f, err := os.Open("/proc/self/task")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// VerifyProcessCredential is VerifyCredential, with no capability kept, for the calling thread and
// for all others in that list.
func VerifyProcessCredential(c Credential, threads *os.File) error {
	if err := VerifyCredential(c, 0); err != nil || threads == nil {
		return err
	}
	tids, err := threads.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, tid := range tids {
		st, err := threadStatus(threads, tid)
		switch {
		case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESRCH):
			continue // it has ended
		case err != nil:
			return fmt.Errorf("thread %s: %w", tid, err)
		}
		if err := c.verify(&st); err != nil {
			return fmt.Errorf("thread %s: %w", tid, err)
		}
	}
	return nil
}

func threadStatus(threads *os.File, tid string) (ProcStatus, error) {
	var fd int
	err := WithFD(threads, func(dir int) (err error) {
		fd, err = retry1(func() (int, error) {
			return unix.Openat(dir, tid+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		})
		return err
	})
	if err != nil {
		return ProcStatus{}, wrap("openat", err)
	}
	f := os.NewFile(uintptr(fd), "status")
	defer f.Close() // read only: an error of close loses nothing
	data, err := io.ReadAll(f)
	if err != nil {
		return ProcStatus{}, err
	}
	return parseStatus(data)
}

// verify proves that the thread with that status is c. The file system's ids, the fourth, are not
// asked for: SetThreadFSUser gives a thread its own.
func (c Credential) verify(st *ProcStatus) error {
	for _, id := range st.UID[:3] {
		if id != c.UID {
			return fmt.Errorf("uids are %v, not %d", st.UID, c.UID)
		}
	}
	for _, id := range st.GID[:3] {
		if id != c.GID {
			return fmt.Errorf("gids are %v, not %d", st.GID, c.GID)
		}
	}
	if !sameGroups(Credential{Groups: st.Groups}.groups(), c.Groups) {
		return fmt.Errorf("supplementary groups are %v, not %v", st.Groups, c.Groups)
	}
	if c.UID != 0 && st.CapPrm&(1<<unix.CAP_SETUID) != 0 {
		return errors.New("CAP_SETUID is left, with which root could be regained")
	}
	return nil
}

// DropBounding removes every capability that is not in keep from the calling
// thread's bounding set, so that no later execve can bring it back.
func DropBounding(keep CapSet) error {
	for c, last := 0, lastCapability(); c <= last; c++ {
		if keep&(1<<c) != 0 {
			continue
		}
		in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			return wrap("prctl(PR_CAPBSET_READ)", err)
		}
		if in == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return wrap("prctl(PR_CAPBSET_DROP)", err)
		}
	}
	return nil
}

// SetThreadCapabilities makes set the permitted, effective and inheritable
// capabilities of the calling thread, and its ambient set too if ambient is
// true, which an ordinary user's program needs to have them after execve (Linux 4.3).
func SetThreadCapabilities(set CapSet, ambient Ambient) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	lo, hi := uint32(set), uint32(set>>32)
	data := [2]unix.CapUserData{
		{Effective: lo, Permitted: lo, Inheritable: lo},
		{Effective: hi, Permitted: hi, Inheritable: hi},
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return wrap("capset", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return wrap("prctl(PR_CAP_AMBIENT_CLEAR_ALL)", err)
	}
	for c, last := 0, lastCapability(); ambient == RaiseAmbient && c <= last; c++ {
		if set&(1<<c) == 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0)
		if err != nil {
			return wrap("prctl(PR_CAP_AMBIENT_RAISE)", err)
		}
	}
	return nil
}

// threadCapabilities returns the permitted capabilities of the calling thread.
func threadCapabilities() (CapSet, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, wrap("capget", err)
	}
	return CapSet(data[0].Permitted) | CapSet(data[1].Permitted)<<32, nil
}

// lastCapability is the highest that the running kernel knows. It asks without /proc, which is not
// there after a chroot: EINVAL means that there is no such capability (prctl(2)).
func lastCapability() int {
	for c := 0; ; c++ {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err != nil {
			return c - 1
		}
	}
}

// SetNoNewPrivs sets no_new_privs on the calling thread and all it starts: no
// set-user-id bit and no file capability counts any more (Linux 3.5).
func SetNoNewPrivs() error {
	return wrap("prctl(PR_SET_NO_NEW_PRIVS)", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// Unmapped says whether the owner uid of a file may be somebody who has no number in our user
// namespace: all those are shown as one (user_namespaces(7), /proc/sys/kernel/overflowuid), and
// nobody inside can be or become them. Outside of namespaces, and in one where that number is a
// user's as well, it is a user like others.
func Unmapped(uid int) bool {
	return unmapped(uid, "/proc/self/uid_map", "/proc/sys/kernel/overflowuid")
}

// unmapped trusts nobody where the files cannot be read.
func unmapped(uid int, mapFile, overflowFile string) bool {
	text, err := os.ReadFile(overflowFile)
	if err != nil {
		return false
	}
	overflow, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || uid != overflow {
		return false
	}
	ranges, err := os.ReadFile(mapFile)
	if err != nil || len(ranges) == 0 { // no map yet: everybody is unmapped, we too
		return false
	}
	for line := range strings.Lines(string(ranges)) {
		var inside, outside, count int64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err != nil {
			return false
		}
		if inside <= int64(uid) && int64(uid) < inside+count {
			return false
		}
	}
	return true
}
