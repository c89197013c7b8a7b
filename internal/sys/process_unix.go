//go:build unix

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

func chroot(dir string) error {
	if err := retry(func() error { return unix.Chroot(dir) }); err != nil {
		return &os.PathError{Op: "chroot", Path: dir, Err: err}
	}
	return nil
}

func umask(mask int) int { return unix.Umask(mask) }
