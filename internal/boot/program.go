package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// OwnProgram is the file that this process executes, by the name under which it was started, if that leads to it: a link
// such as bin/app, which leads to the next version after an upgrade, where Cellar/app/1.0/app is gone.
// A link that neither root nor we nor the owner of the file have made is not kept. It fails if the file has been removed.
func OwnProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find our own program: %w", err)
	}
	running, err := os.Stat(self) // it is named even when it has been removed
	if err != nil {
		return "", fmt.Errorf("find our own program: %w", err)
	}
	if name := startedAs(os.Args[0]); leadsTo(name, running) {
		return name, nil
	}
	return self, nil
}

// startedAs is what a shell has found for the first word of a command, "" if that cannot be told any more.
func startedAs(word string) string {
	if word == "" {
		return ""
	}
	name := word
	if filepath.Base(word) == word {
		found, err := exec.LookPath(word)
		if err != nil {
			return ""
		}
		name = found
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return ""
	}
	return name
}

// leadsTo says whether a name leads to the running file by links that may be trusted for as long as the file itself.
func leadsTo(name string, running os.FileInfo) bool {
	now, err := os.Stat(name)
	if name == "" || err != nil || !os.SameFile(now, running) {
		return false
	}
	owner, _, err := sys.FileOwner(running)
	if err != nil {
		return false
	}
	for at := name; at != filepath.Dir(at); at = filepath.Dir(at) {
		fi, err := os.Lstat(at)
		if err != nil {
			return false
		}
		by, _, err := sys.FileOwner(fi)
		if err != nil || fi.Mode()&os.ModeSymlink != 0 && by.UID != 0 && by.UID != syscall.Geteuid() && by.UID != owner.UID {
			return false
		}
	}
	return true
}
