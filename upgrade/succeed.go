package upgrade

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// succeed is what makes this process the one in the predecessor's place.
func (u *Upgrader) succeed() error {
	if err := u.heritage.ownStderr(); err != nil {
		return fmt.Errorf("standard error: %w", err)
	}
	if err := u.record(); err != nil {
		return err
	}
	if err := u.heritage.tellWaiter(); err != nil {
		return fmt.Errorf("tell the process that waits: %w", err)
	}
	u.unlinkOnClose(true)
	return nil
}

// retire gives up what is the successor's now.
func (u *Upgrader) retire() error {
	u.unlinkOnClose(false)
	if u.pidfile == nil {
		return nil
	}
	err := u.pidfile.Close() // the lock stays with the successor's descriptor
	u.pidfile = nil
	return err
}

// resume takes back what a successor that failed in the last moment may have changed.
func (u *Upgrader) resume() error { return errors.Join(u.record(), u.heritage.tellWaiter()) }

// findProgram finds the file to execute for a successor. The name under which this process was
// started counts if it still leads to the image that runs: where it is a link that is switched to a
// new version, os.Executable would give the old version's name for ever.
func (u *Upgrader) findProgram(origin string) (string, error) {
	if p := u.o.Program; p != "" {
		if !filepath.IsAbs(p) {
			return "", fmt.Errorf("program %q: not an absolute path", p)
		}
		return p, nil
	}
	if p := u.heritage.note.Program; p != "" {
		return p, nil // our directory may be another than that of the first process
	}
	if p, ok := startedAs(origin); ok {
		return p, nil
	}
	p, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the program's own file: %w", err)
	}
	return p, nil
}

// startedAs is the name under which this process was started, in the directory origin, if it leads
// to the file that runs.
func startedAs(origin string) (string, bool) {
	name := os.Args[0]
	if strings.Contains(name, "/") && !filepath.IsAbs(name) && origin != "" {
		name = filepath.Join(origin, name) // this process may be elsewhere by now
	}
	name, err := spawn.LookPath(name, os.Getenv("PATH"), "")
	if err != nil {
		return "", false
	}
	if name, err = filepath.Abs(name); err != nil {
		return "", false
	}
	self, err := sys.Self()
	if err != nil {
		return "", false
	}
	named, err1 := os.Stat(name)
	running, err2 := os.Stat(self)
	return name, err1 == nil && err2 == nil && os.SameFile(named, running)
}
