package sys

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The set*id calls below are the kernel's, which change the calling thread. Those of package
// syscall change every thread, which the caller must not want, and those of x/sys are the same.

func setThreadIDs(name string, call, ids uintptr) error {
	if _, _, errno := unix.RawSyscall(call, ids, ids, ids); errno != 0 {
		return wrap(name, errno)
	}
	return nil
}

func setThreadCredential(c Credential, keep KeepCaps) error {
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
		return setThreadCapabilities(0, NoAmbient)
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
	if _, _, errno := unix.RawSyscall(sysSetgroups, uintptr(len(groups)), uintptr(p), 0); errno != 0 {
		return wrap("setgroups", errno)
	}
	return nil
}

func maySetGroups() bool {
	caps, err := threadCapabilities()
	if err != nil || caps&(1<<unix.CAP_SETGID) == 0 {
		return false
	}
	denied, err := os.ReadFile("/proc/self/setgroups")
	return err != nil || !strings.HasPrefix(string(denied), "deny")
}

func sameGroups(have []int, want []uint32) bool {
	h := slices.Clone(have)
	w := make([]int, len(want))
	for i, g := range want {
		w[i] = int(g)
	}
	slices.Sort(h)
	slices.Sort(w)
	return slices.Equal(slices.Compact(h), slices.Compact(w))
}

func verifyCredential(c Credential, kept CapSet) error {
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
	caps, err := ThreadCapabilities()
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

func dropBounding(keep CapSet) error {
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

func setThreadCapabilities(set CapSet, ambient Ambient) error {
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
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return wrap("prctl(PR_CAP_AMBIENT_RAISE)", err)
		}
	}
	return nil
}

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

func setNoNewPrivs() error {
	return wrap("prctl(PR_SET_NO_NEW_PRIVS)", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

func setNice(n int) error {
	return wrap("setpriority", unix.Setpriority(unix.PRIO_PROCESS, 0, n))
}

func setOOMScoreAdj(n int) error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(n)), 0)
}

func joinCgroup(dir string) error {
	// Without O_CREAT and O_TRUNC, which os.WriteFile would add: the file is the
	// kernel's, and a directory that is no control group must not get one.
	f, err := os.OpenFile(dir+"/cgroup.procs", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("0")
	return errors.Join(err, f.Close())
}

func becomeSubreaper() error {
	return wrap("prctl(PR_SET_CHILD_SUBREAPER)", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

func unshareFS() error { return wrap("unshare(CLONE_FS)", unix.Unshare(unix.CLONE_FS)) }
