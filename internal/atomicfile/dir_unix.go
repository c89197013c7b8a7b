//go:build unix && !aix

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

const noFollow = syscall.O_NOFOLLOW

// syncDir makes the rename itself durable: it is a change of the directory.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // fsync(2): this file system syncs no directories, some network ones for example
	}
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
