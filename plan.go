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
	errFile string
	chroot  string
	dir     string // inside chroot; "" is to stay where we are
	outputs string // what of the output goes somewhere: bothOutputs and the like
	logMode fs.FileMode
	names   []string // of Options.Files
	user    *User
}

// What plan.outputs can be, and so how many files there are for it.
const (
	noOutput    = "" // in the foreground
	bothOutputs = "b"
	twoOutputs  = "oe" // apart
	errOutput   = "e"  // of standard error alone, in the foreground
)

// plan turns what is relative absolute while the working directory still is the caller's, and looks
// whether the files can be. A default for Dir is not its business.
func (o *Options) plan(ctx context.Context) (plan, error) {
	p, err := sys.Within(ctx, "find the working directory", o.absolute, nil)
	for _, log := range []string{p.logFile, p.errFile} {
		if err != nil || p.pidFile == "" || log == "" {
			continue
		}
		what := "look at pid file " + p.pidFile + " and log file " + log
		_, err = sys.Within(ctx, what, func() (none struct{}, _ error) {
			return none, distinct(p.pidFile, log)
		}, nil)
	}
	return p, err
}

func (o *Options) absolute() (plan, error) {
	p := plan{
		pidFile: o.PIDFile,
		logFile: o.LogFile,
		errFile: o.ErrFile,
		chroot:  o.Chroot,
		dir:     o.Dir,
		user:    o.User,
		logMode: cmp.Or(o.LogFileMode, 0o640),
	}
	for _, f := range o.Files {
		p.names = append(p.names, f.Name())
	}
	paths := []*string{&p.pidFile, &p.logFile, &p.errFile, &p.chroot}
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
	f := []string{
		p.pidFile, p.logFile, p.errFile, p.chroot, p.dir, p.outputs, number(uint32(p.logMode)),
		number(uint32(len(p.names))),
	}
	for _, name := range p.names {
		f = append(f, strings.ReplaceAll(name, "\x00", ""))
	}
	if p.user != nil {
		for _, id := range append([]uint32{p.user.UID, p.user.GID}, p.user.Groups...) {
			f = append(f, number(id))
		}
	}
	return []byte(strings.Join(f, "\x00"))
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

var errPlan = errors.New("malformed message from the launcher")

func decodePlan(b []byte) (plan, error) {
	const fixed = 8
	f := strings.Split(string(b), "\x00")
	if len(f) < fixed {
		return plan{}, errPlan
	}
	p := plan{
		pidFile: f[0], logFile: f[1], errFile: f[2], chroot: f[3], dir: f[4], outputs: f[5],
	}
	mode, err := numbers(f[6:fixed])
	if f = f[fixed:]; err != nil || uint64(mode[1]) > uint64(len(f)) {
		return plan{}, errPlan
	}
	p.logMode, p.names, f = fs.FileMode(mode[0]), f[:mode[1]], f[mode[1]:]
	ids, err := numbers(f)
	if err != nil {
		return plan{}, errPlan
	}
	if len(ids) >= 2 {
		p.user = &User{UID: ids[0], GID: ids[1], Groups: ids[2:]}
	}
	return p, nil
}

func numbers(texts []string) (list []uint32, err error) {
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		list = append(list, uint32(n))
	}
	return list, nil
}

// openLog opens a log file for appending, or /dev/null if there is none. It is readable too,
// because the launcher reads a failed daemon's last words back.
func openLog(path string, mode fs.FileMode, owner *User) (*os.File, error) {
	if path == "" {
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	o := sys.TrustedOpen{Flags: os.O_RDWR | os.O_CREATE | os.O_APPEND, Mode: mode}
	if owner != nil {
		o.Owner = &sys.Owner{UID: int(owner.UID), GID: int(owner.GID)}
	}
	f, _, err := sys.OpenTrusted(path, o)
	return f, err
}

// report is what the daemon says to the launcher: 'R'; 'S' and a text, which says what it is at; or
// 'F', the exit status and the text.
type report struct {
	ready  bool
	note   bool
	status int
	text   string
}

func (r *report) encode() []byte {
	if r.ready {
		return []byte{'R'}
	}
	text := spawn.Shorten(r.text, spawn.MostText)
	if r.note {
		return append([]byte{'S'}, text...)
	}
	return append(binary.AppendVarint([]byte{'F'}, int64(r.status)), text...)
}

// decodeReport takes anything else for a text, so that nothing said is lost.
func decodeReport(b []byte) *report {
	if string(b) == "R" {
		return &report{ready: true}
	}
	if rest, ok := strings.CutPrefix(string(b), "S"); ok {
		return &report{note: true, text: rest}
	}
	if rest, ok := strings.CutPrefix(string(b), "F"); ok {
		if status, n := binary.Varint([]byte(rest)); n > 0 {
			return &report{status: int(status), text: rest[n:]}
		}
	}
	return &report{text: string(b)}
}
