package boot

import (
	"fmt"
	"io"
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
	if strings.HasPrefix(program, "s6-linux-init") {
		return S6
	}
	return map[string]System{
		"systemd": Systemd, "openrc-init": OpenRC, "runit": Runit, "runit-init": Runit,
		"runsvdir": Runit, "s6-svscan": S6, "launchd": Launchd,
	}[program]
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
	head := t.text(init)
	if strings.HasPrefix(head, "#!") && strings.Contains(head, "s6-linux-init") {
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

// follow resolves the symbolic links of a path inside the tree, which must be there.
func (t tree) follow(name string) (string, error) {
	at, err := t.resolve(name)
	if err == nil && !t.exists(at) {
		err = fmt.Errorf("there is no %s", at)
	}
	return at, err
}

// maxLinks is how many links the kernel follows in one path (path_resolution(7)).
const maxLinks = 40

// resolve resolves the symbolic links of a path inside the tree, as they are
// when it runs: an absolute one leads to the root of the tree, and none out of
// it. What is not there stays as it is.
func (t tree) resolve(name string) (string, error) {
	at, rest := "/", name
	for links := 0; rest != ""; {
		var first string
		first, rest, _ = strings.Cut(rest, "/")
		if first == "" || first == "." || first == ".." {
			if first == ".." {
				at = path.Dir(at)
			}
			continue
		}
		target, err := os.Readlink(t.path(path.Join(at, first)))
		if err != nil { // EINVAL: no link; ENOENT: not there
			at = path.Join(at, first)
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many symbolic links", t.path(name))
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = target + "/" + rest
	}
	return at, nil
}
