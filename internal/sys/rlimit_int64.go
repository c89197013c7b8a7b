//go:build freebsd || dragonfly

package sys

import "syscall"

func toRlimit(l Rlimit) syscall.Rlimit {
	// RLIM_INFINITY is the largest int64 here, and the fields are signed.
	return syscall.Rlimit{Cur: int64(min(l.Soft, 1<<63-1)), Max: int64(min(l.Hard, 1<<63-1))}
}
