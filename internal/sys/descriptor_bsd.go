//go:build unix && !linux

package sys

import "golang.org/x/sys/unix"

func dup2Call(oldfd, newfd int) error { return unix.Dup2(oldfd, newfd) }

func sealDescriptors(from int) error {
	// /dev/fd shows only 0 to 2 on a BSD without fdescfs, and nothing tells that
	// apart from a process that has no others: every number is tried.
	return sealTried(from)
}
