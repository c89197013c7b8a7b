//go:build unix

package sys

import "syscall"

// setrlimit must not use prlimit(2) for RLIMIT_NOFILE: see Setrlimit.
func setrlimit(resource int, lim Rlimit) error {
	l := toRlimit(lim)
	return wrap("setrlimit", syscall.Setrlimit(resource, &l))
}
