package proctree

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// cgroupMembers lists the processes in a control group and below it. A group
// that is removed meanwhile has none (it could not be removed with any).
func cgroupMembers(dir string) ([]int, error) {
	if dir == "" {
		return nil, nil
	}
	var pids []int
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if path != dir && vanished(err) {
			return nil
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		data, err := sys.ReadKernelFile(filepath.Join(path, "cgroup.procs"))
		if path != dir && vanished(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for field := range strings.FieldsSeq(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			// 0 is a process of another pid namespace, which we cannot name.
			if pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("processes of control group: %w", err)
	}
	return pids, nil
}

// vanished knows both errors of a removed group: from open and from read.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}
