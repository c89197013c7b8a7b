//go:build unix && !linux && !openbsd

package sys

import "golang.org/x/sys/unix"

var rlimitNumbers = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "nofile": unix.RLIMIT_NOFILE, "stack": unix.RLIMIT_STACK,
}
