//go:build !linux

package sys

import "os"

func pidfdGetfd(*os.File, int) (int, error) { return -1, Unsupported("pidfd_getfd") }
