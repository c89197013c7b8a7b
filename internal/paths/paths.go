// Package paths says where things live.
//
//	              root               ordinary user
//	runtime       /run/daemonry      $XDG_RUNTIME_DIR/daemonry, else
//	                                 daemonry-UID in the temporary directory
//	state         /var/lib/daemonry  $XDG_STATE_HOME/daemonry
//	logs          /var/log/daemonry  $XDG_STATE_HOME/daemonry/log
//	configuration /etc/daemonry      $XDG_CONFIG_HOME/daemonry
//
// DAEMONRY_ROOT=DIR puts all four under one directory, as run, state, log and
// config; a relative DIR is refused, for supervisor and commands have to mean the same. Where Linux
// has /run, other systems have /var/run. The defaults of the XDG variables are those of the XDG
// Base Directory Specification 0.8, which also says that a relative path in one of them is to be
// ignored.
package paths

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// Paths are the directories of one supervisor. Clients and the supervisor must
// come to the same answer, so nothing here depends on what exists.
type Paths struct {
	Runtime string // sockets, identity, FIFOs; gone after a reboot
	State   string // what is wanted; kept over a reboot
	Log     string // logs that are not told to go elsewhere
	Config  string // read, never made
}

// Find returns the paths for this process: its environment and its effective user.
func Find() (Paths, error) { return Of(os.Getenv, os.Geteuid()) }

// Of returns the paths for an environment and a user. Fails if an ordinary user has no home.
func Of(getenv func(string) string, uid int) (Paths, error) {
	if root := getenv("DAEMONRY_ROOT"); root != "" {
		if !filepath.IsAbs(root) { // it would be one supervisor here and another one elsewhere
			return Paths{}, fmt.Errorf("DAEMONRY_ROOT: %q is not an absolute path", root)
		}
		return below(root, filepath.Join(root, "config")), nil
	}
	if uid == 0 {
		return Paths{
			Runtime: systemRuntime(),
			State:   "/var/lib/daemonry",
			Log:     "/var/log/daemonry",
			Config:  "/etc/daemonry",
		}, nil
	}
	return ofUser(getenv, uid)
}

func systemRuntime() string {
	if runtime.GOOS == "linux" {
		return "/run/daemonry"
	}
	return "/var/run/daemonry"
}

// errNoHome is the one thing that an ordinary user can lack.
var errNoHome = errors.New("HOME is not set to an absolute path; set it, or DAEMONRY_ROOT")

func ofUser(getenv func(string) string, uid int) (Paths, error) {
	absolute := func(name string) string {
		if dir := getenv(name); filepath.IsAbs(dir) {
			return dir
		}
		return ""
	}
	home := absolute("HOME")
	base := func(name, below string) (string, error) {
		switch dir := absolute(name); {
		case dir != "":
			return dir, nil
		case home == "":
			return "", errNoHome
		}
		return filepath.Join(home, below), nil
	}
	state, err := base("XDG_STATE_HOME", ".local/state")
	if err != nil {
		return Paths{}, err
	}
	config, err := base("XDG_CONFIG_HOME", ".config")
	if err != nil {
		return Paths{}, err
	}
	p := Paths{
		State:  filepath.Join(state, "daemonry"),
		Log:    filepath.Join(state, "daemonry", "log"),
		Config: filepath.Join(config, "daemonry"),
	}
	if dir := absolute("XDG_RUNTIME_DIR"); dir != "" {
		p.Runtime = filepath.Join(dir, "daemonry")
		return p, nil
	}
	temp := cmp.Or(absolute("TMPDIR"), "/tmp")
	p.Runtime = filepath.Join(temp, "daemonry-"+strconv.Itoa(uid))
	return p, nil
}

// Socket is the control socket.
func (p Paths) Socket() string { return filepath.Join(p.Runtime, "control.sock") }
