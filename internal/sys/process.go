package sys

// Credential is who a process is: numeric ids, so that no user database is
// needed where there is none (a chroot, a static program).
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups, all of them; nil means none
}

// SetThreadCredential becomes c: groups first, then gid, then uid, because each
// needs the right that the next gives up. With keepCaps the permitted
// capabilities outlive the change of uid (PR_SET_KEEPCAPS), for SetThreadCapabilities.
//
// On Linux it acts on the calling thread alone, as the kernel does; the caller
// holds the thread (runtime.LockOSThread), never gives it back, and starts or executes
// the target from it. Elsewhere the whole process changes.
func SetThreadCredential(c Credential, keepCaps KeepCaps) error {
	return setThreadCredential(c, keepCaps)
}

// MaySetGroups says whether this process may change its groups: on Linux one with CAP_SETGID,
// unless its user namespace denies it (/proc/self/setgroups, user_namespaces(7)); elsewhere root.
func MaySetGroups() bool { return maySetGroups() }

// KeepCaps says whether permitted capabilities survive a change of uid.
type KeepCaps uint8

const (
	DropCaps   KeepCaps = iota // as the kernel does: all gone when root is gone
	RetainCaps                 // kept in the permitted set
)

// VerifyCredential proves that the calling thread is c and nothing more: real, effective and saved
// ids, exactly these groups, and no way back to root but CAP_SETUID, if that is among the
// capabilities that were kept on purpose. A launcher can have set that none is lost with root's uid
// (SECBIT_NO_SETUID_FIXUP, capabilities(7)).
func VerifyCredential(c Credential, kept CapSet) error { return verifyCredential(c, kept) }

// CapSet is a set of capabilities, bit N for capability N of capabilities(7).
type CapSet uint64

// DropBounding removes every capability that is not in keep from the calling
// thread's bounding set, so that no later execve can bring it back.
func DropBounding(keep CapSet) error { return dropBounding(keep) }

// SetThreadCapabilities makes set the permitted, effective and inheritable
// capabilities of the calling thread, and its ambient set too if ambient is
// true, which an ordinary user's program needs to have them after execve (Linux 4.3).
func SetThreadCapabilities(set CapSet, ambient Ambient) error {
	return setThreadCapabilities(set, ambient)
}

// Ambient says whether capabilities go into the ambient set.
type Ambient uint8

const (
	NoAmbient Ambient = iota
	RaiseAmbient
)

// ThreadCapabilities returns the permitted capabilities of the calling thread.
func ThreadCapabilities() (CapSet, error) { return threadCapabilities() }

// SetNoNewPrivs sets no_new_privs on the calling thread and all it starts: no
// set-user-id bit and no file capability counts any more (Linux 3.5).
func SetNoNewPrivs() error { return setNoNewPrivs() }

// SetNice sets the nice value; on Linux of the calling thread alone (setpriority(2), "C
// library/kernel differences").
func SetNice(n int) error { return setNice(n) }

// SetOOMScoreAdj sets /proc/self/oom_score_adj, -1000 to 1000; children inherit it.
func SetOOMScoreAdj(n int) error { return setOOMScoreAdj(n) }

// JoinCgroup moves the calling process into the control group at dir.
func JoinCgroup(dir string) error { return joinCgroup(dir) }

// Chroot changes the root directory; it does not change the working directory, which
// the caller must do next or the old tree stays reachable.
func Chroot(dir string) error { return chroot(dir) }

// Umask sets the file mode creation mask, which cannot fail, and returns the one before.
func Umask(mask int) int { return umask(mask) }

// Setrlimit sets a resource limit. RLIMIT_NOFILE goes through package syscall,
// which otherwise restores the soft limit of the launcher in every child (see syscall/rlimit.go).
func Setrlimit(resource int, lim Rlimit) error { return setrlimit(resource, lim) }

// Rlimit is a soft and a hard limit; RlimitInfinity is none.
type Rlimit struct{ Soft, Hard uint64 }

// RlimitInfinity stands for no limit on every platform, whatever RLIM_INFINITY is there.
const RlimitInfinity = ^uint64(0)

// BecomeSubreaper makes orphaned descendants children of this process instead of init's
// (PR_SET_CHILD_SUBREAPER, Linux 3.4; procctl(PROC_REAP_ACQUIRE) on FreeBSD is not used yet).
// Children do not inherit it.
func BecomeSubreaper() error { return becomeSubreaper() }

// UnshareFS gives the calling thread a umask, working directory and root of its own.
// The thread must be held and never given back to the scheduler. Linux only.
func UnshareFS() error { return unshareFS() }
