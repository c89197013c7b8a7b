//go:build unix && !linux

package sys

import (
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

func setThreadCredential(c Credential, keep KeepCaps) error {
	if keep == RetainCaps {
		return Unsupported("keeping capabilities")
	}
	groups := make([]int, len(c.Groups))
	for i, g := range c.Groups {
		groups[i] = int(g)
	}
	if err := syscall.Setgroups(groups); err != nil {
		if have, e := syscall.Getgroups(); e != nil || !sameGroups(have, groups) {
			return wrap("setgroups", err)
		}
	}
	if err := syscall.Setgid(int(c.GID)); err != nil {
		return wrap("setgid", err)
	}
	return wrap("setuid", syscall.Setuid(int(c.UID)))
}

func maySetGroups() bool { return syscall.Geteuid() == 0 }

func sameGroups(have, want []int) bool {
	h, w := slices.Clone(have), slices.Clone(want)
	slices.Sort(h)
	slices.Sort(w)
	return slices.Equal(slices.Compact(h), slices.Compact(w))
}

func verifyCredential(c Credential, _ CapSet) error {
	if u, e := syscall.Getuid(), syscall.Geteuid(); u != int(c.UID) || e != int(c.UID) {
		return fmt.Errorf("uid is %d/%d, not %d", u, e, c.UID)
	}
	if g, e := syscall.Getgid(), syscall.Getegid(); g != int(c.GID) || e != int(c.GID) {
		return fmt.Errorf("gid is %d/%d, not %d", g, e, c.GID)
	}
	if c.UID != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("root could be regained after it was given up")
	}
	return nil
}

func dropBounding(CapSet) error                   { return Unsupported("capabilities") }
func setThreadCapabilities(CapSet, Ambient) error { return Unsupported("capabilities") }
func threadCapabilities() (CapSet, error)         { return 0, Unsupported("capabilities") }
func setNoNewPrivs() error                        { return Unsupported("no_new_privs") }
func setOOMScoreAdj(int) error                    { return Unsupported("oom_score_adj") }
func joinCgroup(string) error                     { return Unsupported("control groups") }
func becomeSubreaper() error                      { return Unsupported("child subreaper") }
func unshareFS() error                            { return Unsupported("unshare") }

func setNice(n int) error {
	return wrap("setpriority", unix.Setpriority(unix.PRIO_PROCESS, 0, n))
}
