//go:build linux && (386 || arm)

package sys

import "golang.org/x/sys/unix"

// The plain calls take 16-bit ids on these two.
const (
	sysSetgroups = unix.SYS_SETGROUPS32
	sysSetresgid = unix.SYS_SETRESGID32
	sysSetresuid = unix.SYS_SETRESUID32
)
