package daemonry

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

// plan is what the launcher worked out and the daemon needs: the same options,
// but independent of the working directory.
type plan struct {
	pidFile string
	logFile string
	chroot  string
	dir     string // inside chroot; "" is to stay where we are
	logMode fs.FileMode
	user    *User
}

// plan turns what is relative absolute while the working directory still is the caller's, and looks
// whether the files can be. A default for Dir is not its business.
func (o *Options) plan(ctx context.Context) (plan, error) {
	p, err := sys.Within(ctx, "find the working directory", o.absolute, nil)
	if err != nil || p.pidFile == "" || p.logFile == "" {
		return p, err
	}
	what := "look at pid file " + p.pidFile + " and log file " + p.logFile
	return sys.Within(ctx, what, func() (plan, error) { return p, p.check() }, nil)
}

func (o *Options) absolute() (plan, error) {
	p := plan{
		pidFile: o.PIDFile,
		logFile: o.LogFile,
		chroot:  o.Chroot,
		dir:     o.Dir,
		user:    o.User,
		logMode: cmp.Or(o.LogFileMode, 0o640),
	}
	paths := []*string{&p.pidFile, &p.logFile, &p.chroot}
	if p.chroot == "" {
		paths = append(paths, &p.dir)
	}
	for _, path := range paths {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return plan{}, err
		}
	}
	return p, nil
}

// argv is the daemon's whole argument vector.
func (o *Options) argv() []string {
	own := os.Args
	if len(own) == 0 { // as some who execute programs leave it (execve(2))
		own = []string{""}
	}
	args := o.Args
	if args == nil {
		args = own[1:]
	}
	return append([]string{cmp.Or(o.Name, own[0])}, args...)
}

// encode writes the plan as texts with NULs between them, which no path contains.
func (p *plan) encode() []byte {
	f := []string{p.pidFile, p.logFile, p.chroot, p.dir, strconv.FormatUint(uint64(p.logMode), 10)}
	if p.user != nil {
		for _, id := range append([]uint32{p.user.UID, p.user.GID}, p.user.Groups...) {
			f = append(f, strconv.FormatUint(uint64(id), 10))
		}
	}
	return []byte(strings.Join(f, "\x00"))
}

func decodePlan(b []byte) (plan, error) {
	f := strings.Split(string(b), "\x00")
	if len(f) < 5 {
		return plan{}, errors.New("malformed message from the launcher")
	}
	var numbers []uint32
	for _, text := range f[4:] {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return plan{}, errors.New("malformed message from the launcher")
		}
		numbers = append(numbers, uint32(n))
	}
	p := plan{
		pidFile: f[0],
		logFile: f[1],
		chroot:  f[2],
		dir:     f[3],
		logMode: fs.FileMode(numbers[0]),
	}
	if ids := numbers[1:]; len(ids) >= 2 {
		p.user = &User{UID: ids[0], GID: ids[1], Groups: ids[2:]}
	}
	return p, nil
}

// openLog opens the log file for appending, or /dev/null if there is none. It is readable too,
// because the launcher reads a failed daemon's last words back.
func (p *plan) openLog() (*os.File, error) {
	if p.logFile == "" {
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	o := sys.TrustedOpen{Flags: os.O_RDWR | os.O_CREATE | os.O_APPEND, Mode: p.logMode}
	if p.user != nil {
		o.Owner = &sys.Owner{UID: int(p.user.UID), GID: int(p.user.GID)}
	}
	f, _, err := sys.OpenTrusted(p.logFile, o)
	return f, err
}

// report is what the daemon says to the launcher: 'R', or 'F', the exit status and the text.
type report struct {
	ready  bool
	status int
	text   string
}

func (r *report) encode() []byte {
	if r.ready {
		return []byte{'R'}
	}
	text := spawn.Shorten(r.text, spawn.MostText)
	return append(binary.AppendVarint([]byte{'F'}, int64(r.status)), text...)
}

// decodeReport takes anything else than the two for a text, so that nothing said is lost.
func decodeReport(b []byte) *report {
	if string(b) == "R" {
		return &report{ready: true}
	}
	if rest, ok := strings.CutPrefix(string(b), "F"); ok {
		if status, n := binary.Varint([]byte(rest)); n > 0 {
			return &report{status: int(status), text: rest[n:]}
		}
	}
	return &report{text: string(b)}
}
