//go:build unix && !freebsd && !dragonfly

package sys

import (
	"runtime"
	"syscall"
)

func toRlimit(l Rlimit) syscall.Rlimit {
	// RLIM_INFINITY is 2^64-1 on Linux and 2^63-1 on darwin and the BSDs.
	if runtime.GOOS != "linux" {
		l.Soft, l.Hard = min(l.Soft, 1<<63-1), min(l.Hard, 1<<63-1)
	}
	return syscall.Rlimit{Cur: l.Soft, Max: l.Hard}
}
