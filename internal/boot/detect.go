package boot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Evidence is what was seen that tells an init system, a fact each.
type Evidence []string

// Detect says what a machine boots with, and by what that is seen. root is a
// tree that does not run, and is judged by its files; "" is the running
// machine, which is judged by what runs: the files of another init system may
// be installed beside it.
func Detect(root string) (System, Evidence) {
	t := tree(root)
	if root != "" && root != "/" {
		return t.installed()
	}
	switch runtime.GOOS {
	case "darwin":
		return Launchd, Evidence{"this is macOS, whose process 1 is launchd"}
	case "freebsd":
		return FreeBSD, Evidence{"this is FreeBSD, which boots by rc(8)"}
	case "linux":
		return t.running()
	}
	return None, Evidence{"this is " + runtime.GOOS}
}

// tree is a file system, by the directory where it is reached.
type tree string

func (t tree) path(name string) string { return filepath.Join("/", string(t), name) }

func (t tree) isDir(name string) bool {
	fi, err := os.Stat(t.path(name))
	return err == nil && fi.IsDir()
}

func (t tree) exists(name string) bool {
	_, err := os.Lstat(t.path(name))
	return err == nil
}

// text is the beginning of a file, "" if it cannot be read.
func (t tree) text(name string) string {
	f, err := os.Open(t.path(name))
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return ""
	}
	return string(data)
}

// running judges a machine that runs.
func (t tree) running() (System, Evidence) {
	// That is how sd_booted(3) tells.
	if t.isDir("/run/systemd/system") {
		return Systemd, Evidence{"/run/systemd/system exists"}
	}
	comm := strings.TrimSpace(t.text("/proc/1/comm"))
	seen := Evidence{fmt.Sprintf("process 1 is %q", comm)}
	if system := byName(comm); system != None {
		return system, seen
	}
	// The program itself may be seen by root alone.
	exe, err := os.Readlink(t.path("/proc/1/exe"))
	if err == nil {
		seen = append(seen, "its program is "+exe)
		if system := byName(path.Base(exe)); system != None {
			return system, seen
		}
	}
	if t.isDir("/run/openrc") {
		return OpenRC, append(seen, "/run/openrc exists")
	}
	if comm != "init" {
		return None, append(seen, "which starts no services that could be added to")
	}
	system, more := t.installed()
	return system, append(seen, more...)
}

// byName knows programs that are process 1 of one init system alone.
func byName(program string) System {
	switch {
	case program == "systemd":
		return Systemd
	case program == "openrc-init":
		return OpenRC
	case program == "runit" || program == "runit-init" || program == "runsvdir":
		return Runit
	case program == "s6-svscan" || strings.HasPrefix(program, "s6-linux-init"):
		return S6
	case program == "launchd":
		return Launchd
	}
	return None
}

// installed judges a tree by the program that the kernel would start, which is
// /sbin/init, and by what that would read.
func (t tree) installed() (System, Evidence) {
	init, err := t.follow("/sbin/init")
	if err != nil {
		if t.exists("/sbin/launchd") {
			return Launchd, Evidence{"/sbin/launchd exists"}
		}
		return None, Evidence{err.Error()}
	}
	seen := Evidence{"/sbin/init is " + init}
	if system := byName(path.Base(init)); system != None {
		return system, seen
	}
	if t.exists("/etc/rc.subr") && t.exists("/etc/defaults/rc.conf") {
		return FreeBSD, append(seen, "/etc/rc.subr and /etc/defaults/rc.conf exist")
	}
	if head := t.text(init); strings.HasPrefix(head, "#!") && strings.Contains(head, "s6-linux-init") {
		return S6, append(seen, "which is a script that starts s6-linux-init")
	}
	inittab := t.text("/etc/inittab")
	switch {
	case inittab == "":
		return None, append(seen, "there is no /etc/inittab")
	case strings.Contains(inittab, "openrc "):
		return OpenRC, append(seen, "/etc/inittab starts openrc")
	case strings.Contains(inittab, "/etc/init.d/rc ") && t.isDir("/etc/init.d"):
		return SysV, append(seen, "/etc/inittab starts /etc/init.d/rc")
	case strings.Contains(inittab, "runsvdir"):
		return Runit, append(seen, "/etc/inittab starts runsvdir")
	}
	return None, append(seen, "/etc/inittab starts nothing that is known here")
}

// follow resolves the symbolic links of a path inside the tree.
func (t tree) follow(name string) (string, error) {
	for range 10 {
		dir, err := t.followDir(path.Dir(name))
		if err != nil {
			return "", err
		}
		name = path.Join(dir, path.Base(name))
		target, err := os.Readlink(t.path(name))
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return name, nil // no link: EINVAL
		case err != nil:
			return "", fmt.Errorf("there is no %s", name)
		case !path.IsAbs(target):
			target = path.Join(path.Dir(name), target)
		}
		name = target
	}
	return "", fmt.Errorf("%s: too many symbolic links", name)
}

// followDir resolves one link above the program: /sbin is usr/sbin, or usr/bin.
func (t tree) followDir(dir string) (string, error) {
	for range 10 {
		target, err := os.Readlink(t.path(dir))
		if err != nil {
			return dir, nil
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(dir), target)
		}
		dir = target
	}
	return "", fmt.Errorf("%s: too many symbolic links", dir)
}
