//go:build linux && (386 || arm)

package sys

import "golang.org/x/sys/unix"

// The plain call takes 16-bit ids on these two.
const sysSetgroups = unix.SYS_SETGROUPS32
