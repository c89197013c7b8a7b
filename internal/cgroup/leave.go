package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LeaveService moves this process out of the control group of a service, if it was started within
// one: it is to outlive the service, whoever's supervisor that one has. Where it cannot, the error
// says which it is.
func LeaveService() error {
	own, err := Of(0)
	if err != nil {
		return nil // there are none
	}
	name, _ := StartAt(own)
	if name == "" {
		return nil
	}
	mount, err := findMount()
	if err == nil {
		var above string
		above, err = mount.dirOf(cmp.Or(own[:strings.Index(own, "/"+ourGroup)], "/"))
		if err == nil {
			err = enterGroup(above)
		}
	}
	if err != nil {
		return fmt.Errorf("started within service %s, and ends with its control group: %w",
			name, err)
	}
	return nil
}

// enterGroup moves this process into a group. One that hands controllers down has no processes of
// its own (cgroups(7), "no internal processes"): then into a leaf below it, the one of moveOut.
func enterGroup(dir string) error {
	pid := strconv.Itoa(os.Getpid())
	err := writeFile(dir, "cgroup.procs", pid)
	if err == nil {
		return nil
	}
	leaf := filepath.Join(dir, "supervisor")
	if mkErr := os.Mkdir(leaf, 0o755); mkErr != nil && !errors.Is(mkErr, fs.ErrExist) {
		return err
	}
	return writeFile(leaf, "cgroup.procs", pid)
}
