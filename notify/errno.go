//go:build !plan9

package notify

import "syscall"

// Errno is syscall.Errno, where there is one.
type Errno = syscall.Errno
