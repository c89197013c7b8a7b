package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// OwnProgram is the file that this process executes, by the name under which it was started, if
// that leads to it: a link such as bin/app, which leads to the next version after an upgrade, where
// Cellar/app/1.0/app is gone. A link that neither root nor we nor the owner of the file have made
// is not kept. It fails if the file has been removed.
func OwnProgram() (string, error) {
	if err := sys.NeedsUnix("a service at boot"); err != nil {
		return "", err
	}
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

// startedAs is what a shell has found for the first word of a command, "" if that cannot be told
// any more.
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
	name, _ = filepath.Abs(name) // "" with an error
	return name
}

// leadsTo says whether a name leads to the running file by links and directories that may be
// trusted for as long as the file itself: all of them, for bin/app may be a link to
// Cellar/app/current/app, and current one to 1.0.
func leadsTo(name string, running os.FileInfo) bool {
	owner, _, err := sys.FileOwner(running)
	if name == "" || err != nil {
		return false
	}
	const mostLinks = 40 // as path_resolution(7)
	root := string(filepath.Separator)
	at, todo := root, strings.Split(name, root)
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at) // of what has no link in it
			continue
		}
		next := filepath.Join(at, part)
		fi, err := os.Lstat(next)
		if err != nil || !lasts(fi, owner.UID) {
			return false
		}
		if fi.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > mostLinks {
			return false
		}
		if filepath.IsAbs(target) {
			at = root
		}
		todo = slices.Concat(strings.Split(target, root), todo)
	}
	now, err := os.Lstat(at)
	return err == nil && os.SameFile(now, running)
}

// lasts says whether nobody exchanges what is there but root, we, and the owner of the program. Who
// may write to a directory that has the sticky bit does so to what is his alone, and that is looked
// at too.
func lasts(fi os.FileInfo, owner int) bool {
	by, _, err := sys.FileOwner(fi)
	if err != nil || by.UID != 0 && by.UID != os.Geteuid() && by.UID != owner {
		return false
	}
	return !fi.IsDir() || fi.Mode().Perm()&0o002 == 0 || fi.Mode()&os.ModeSticky != 0
}
