//go:build unix && !openbsd

package spawn

import "syscall"

const rlimitAS = syscall.RLIMIT_AS
