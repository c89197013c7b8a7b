package sys

import "golang.org/x/sys/unix"

// OpenBSD has no limit of the address space (getrlimit(2)).
var rlimitNumbers = map[string]int{
	"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "nofile": unix.RLIMIT_NOFILE, "stack": unix.RLIMIT_STACK,
}
