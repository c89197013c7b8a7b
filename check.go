package daemonry

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/daemonry/daemonry/internal/spawn"
)

// check refuses what cannot be meant, before anything is touched.
func (o *Options) check() error {
	if o.Timeout < 0 {
		return fmt.Errorf("Options.Timeout is negative: %v", o.Timeout)
	}
	if o.ReadyFD < 0 {
		return fmt.Errorf("Options.ReadyFD is negative: %d", o.ReadyFD)
	}
	for i, f := range o.Files {
		if err := spawn.CheckFile(f); err != nil {
			return fmt.Errorf("Options.Files[%d] %w", i, err)
		}
	}
	for _, path := range []struct{ name, value string }{
		{"PIDFile", o.PIDFile}, {"LogFile", o.LogFile}, {"ErrFile", o.ErrFile},
		{"Chroot", o.Chroot}, {"Dir", o.Dir},
	} {
		if strings.ContainsRune(path.value, 0) { // what is behind it the kernel would not see
			return fmt.Errorf("%s has a NUL byte in it: %q", "Options."+path.name, path.value)
		}
	}
	err := checkOutput("Options.LogFile", o.LogFile, "Options.Output", o.Output)
	if err == nil {
		err = checkOutput("Options.ErrFile", o.ErrFile, "Options.ErrOutput", o.ErrOutput)
	}
	if err != nil {
		return err
	}
	switch m := o.Umask; {
	case m != nil && *m < 0:
		return fmt.Errorf("umask %d: below 0", *m)
	case m != nil && *m > 0o777:
		return fmt.Errorf("umask %#o: above 0777", *m)
	}
	if u := o.User; u != nil && (u.UID == math.MaxUint32 || u.GID == math.MaxUint32) {
		// setresuid(2) takes it for "leave it as it is"
		return fmt.Errorf("user %d:%d: %d is no id", u.UID, u.GID, uint32(math.MaxUint32))
	}
	if err := checkMode("pid file", o.PIDFileMode); err != nil {
		return err
	}
	return checkMode("log file", o.LogFileMode)
}

// checkOutput refuses two places for one output, and one that is not there.
func checkOutput(pathName, path, fileName string, file *os.File) error {
	switch {
	case file == nil:
		return nil
	case path != "":
		return fmt.Errorf("%s and %s are both given", pathName, fileName)
	}
	if err := spawn.CheckFile(file); err != nil {
		return fmt.Errorf("%s %w", fileName, err)
	}
	return nil
}

// distinct refuses a pid file that is a log file.
func distinct(pidFile, logFile string) error {
	switch {
	case pidFile == logFile:
		return fmt.Errorf("pid file and log file are both %s", pidFile)
	case sameFile(pidFile, logFile):
		return fmt.Errorf("pid file %s and log file %s are the same file", pidFile, logFile)
	}
	return nil
}

// checkMode refuses a mode by which everybody may write: into a pid file whom to signal, into a log
// what is believed of the daemon.
func checkMode(what string, mode fs.FileMode) error {
	switch {
	case mode&^fs.ModePerm != 0:
		return fmt.Errorf("mode %#o of the %s: more than permissions", uint32(mode), what)
	case mode&0o002 != 0:
		return fmt.Errorf("mode %#o of the %s: everybody could write to it", uint32(mode), what)
	}
	return nil
}

// sameFile says whether two names lead to one file, or would if it were there: by a link, or by
// directories that are one. What cannot be looked at is said when it is opened.
func sameFile(a, b string) bool {
	same := func(a, b string) bool {
		info, err := os.Stat(a)
		if err != nil {
			return false
		}
		other, err := os.Stat(b)
		return err == nil && os.SameFile(info, other)
	}
	return same(a, b) ||
		filepath.Base(a) == filepath.Base(b) && same(filepath.Dir(a), filepath.Dir(b))
}
