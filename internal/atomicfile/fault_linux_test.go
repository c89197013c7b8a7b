package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const mountsEnv = "ATOMICFILE_TEST_MOUNTS"

// inOwnMounts runs the calling test again in a mount namespace of its own, so
// that what it mounts is gone with it. An ordinary user gets a user namespace
// as well and is root in there.
func inOwnMounts(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(mountsEnv) == t.Name() {
		must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		body(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountsEnv+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getuid(), Size: 1},
		}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getgid(), Size: 1},
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

func tmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(fmt.Errorf("mount: %w", err))
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func TestFullDisk(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		dir := t.TempDir()
		tmpfs(t, dir, "size=64k")
		path := filepath.Join(dir, "file")
		must(t, Write(path, []byte("old"), 0o640))
		if err := Write(path, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) ||
			!strings.Contains(err.Error(), "write ") {
			t.Errorf("on a full disk: %v, want ENOSPC", err)
		}
		if b, err := os.ReadFile(path); string(b) != "old" || err != nil {
			t.Errorf("the file holds %q, %v", b, err)
		}
		only(t, dir, "file")
	})
}

func TestNoInodesLeft(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		dir := t.TempDir()
		tmpfs(t, dir, "nr_inodes=2")
		must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("old"), 0o600))
		if err := Write(filepath.Join(dir, "file"), []byte("new"), 0o600); !errors.Is(err,
			syscall.ENOSPC) {
			t.Errorf("without inodes: %v, want ENOSPC", err)
		}
		only(t, dir, "file")
	})
}

func TestReadOnlyFileSystem(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		dir := t.TempDir()
		tmpfs(t, dir, "")
		must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("old"), 0o600))
		must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		if err := Write(filepath.Join(dir, "file"), []byte("new"), 0o600); !errors.Is(err,
			syscall.EROFS) {
			t.Errorf("read-only: %v, want EROFS", err)
		}
		only(t, dir, "file")
	})
}

// A mount point cannot be renamed over: the failure comes after the temporary
// file was written, and that must not stay.
func TestRenameFails(t *testing.T) {
	inOwnMounts(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		must(t, os.WriteFile(path, []byte("old"), 0o600))
		must(t, syscall.Mount(path, path, "", syscall.MS_BIND, ""))
		defer func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) }()
		if err := Write(path, []byte("new"), 0o600); !errors.Is(err, syscall.EBUSY) ||
			!strings.Contains(err.Error(), "rename ") {
			t.Errorf("over a mount point: %v, want EBUSY", err)
		}
		only(t, dir, "file")
	})
}

func TestModeIgnoresUmask(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	old := syscall.Umask(0o777)
	err := Write(path, nil, 0o666)
	syscall.Umask(old)
	must(t, err)
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o666 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}
