package check

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

// A mark is a variable by which some launcher or manager speaks to the process
// it starts itself. Inherited further, it makes a program believe that it was
// reborn, that it has sockets, or that somebody waits for its word.
type mark struct {
	speaks string // who
	rule   rule
	names  []string // with a "*" at the end: every variable that begins so
}

// rule says when a mark is no mark, because it was meant for this process.
type rule uint8

const (
	always   rule = iota // never meant for a daemon
	systemd              // unless a systemd service holds the process
	listen               // unless LISTEN_PID is this process
	watchdog             // unless WATCHDOG_PID is this process, or systemd holds it
	journal              // unless it names the file that is 1 or 2
	notify               // unless its parent listens there, a launcher did, or systemd holds it
)

// What is listed here, internal/spawn removes: a daemon of ours has none.
var marks = []mark{
	{"go-daemon", always, []string{"_GO_DAEMON"}},
	{"godaemon", always, []string{"__DAEMON_*"}},
	{"tableflip", always, []string{"TABLEFLIP_HAS_PARENT_*"}},
	{"overseer", always, []string{"OVERSEER_*"}},
	{"einhorn", always, []string{"EINHORN_*"}},
	{"sd_notify", notify, []string{"NOTIFY_SOCKET"}},
	{"sd_notify", watchdog, []string{"WATCHDOG_PID", "WATCHDOG_USEC"}},
	{"socket activation", listen,
		[]string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"}},
	{"systemd", systemd, []string{
		"INVOCATION_ID", "SYSTEMD_EXEC_PID", "MAINPID", "MANAGERPID", "MANAGERPIDFDID", "FDSTORE",
		"CREDENTIALS_DIRECTORY", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
	}},
	{"systemd", journal, []string{"JOURNAL_STREAM"}},
	{"supervisord", always, []string{"SUPERVISOR_*"}},
	{"upstart", always, []string{"UPSTART_*"}},
	{"pm2", always, []string{"PM2_*", "pm_id"}},
}

// environment judges the block that the process was executed with: later
// changes are made elsewhere in its memory and cannot be seen.
func (f *facts) environment() finding {
	if f.environErr != nil {
		return mayNotLook("its environment", f.environErr)
	}
	env := f.variables()
	switch {
	case len(f.environ) == 0:
		return passf("no variable, or the program has cleared them")
	case env == nil:
		return unseenf("the program has written its title over its environment")
	}
	var found []string
	for _, name := range env.names() {
		if who := f.marked(env, name); who != "" {
			found = append(found, fmt.Sprintf("%s=%s (%s)", clean(name), clean(env.get(name)), who))
		}
	}
	if len(found) > 0 {
		return failf("marks of another launcher or manager: %s", strings.Join(found, ", "))
	}
	return passf("%s, none the mark of a launcher or manager", plural(len(env), "variable"))
}

// marked returns whose mark the variable is, or "".
func (f *facts) marked(env variables, name string) string {
	is := func(mark string) bool {
		prefix, isPrefix := strings.CutSuffix(mark, "*")
		return name == mark || isPrefix && strings.HasPrefix(name, prefix)
	}
	for _, m := range marks {
		if slices.ContainsFunc(m.names, is) && !f.meant(env, m.rule, env.get(name)) {
			return m.speaks
		}
	}
	return ""
}

func (f *facts) meant(env variables, r rule, value string) bool {
	switch r {
	case systemd:
		return f.unit != ""
	case listen:
		return env.addressedTo("LISTEN_PID", f.stat.PID)
	case watchdog:
		return env.addressedTo("WATCHDOG_PID", f.stat.PID) || f.unit != ""
	case notify:
		return f.unit != "" || autobound(value) || launchers(value) || f.parentListens(value)
	case journal:
		return f.unit != "" || slices.ContainsFunc(f.fds, func(fd sys.FD) bool {
			return fd.Number <= 2 && value == fmt.Sprintf("%d:%d", fd.File.Dev, fd.File.Inode)
		})
	}
	return false
}

// autobound recognises an abstract address that the kernel chose (unix(7),
// "Autobind feature"): that of a launcher which waited for READY=1 and is gone, as ours.
// Nobody but the program could take the variable out of its environment.
func autobound(address string) bool {
	digits, abstract := strings.CutPrefix(address, "@")
	return abstract && len(digits) == 5 && strings.Trim(digits, "0123456789abcdef") == ""
}

// launchers recognises the name that detach gives to its socket (sys.ListenNotifyIn), which goes
// with the launcher.
func launchers(address string) bool {
	dir, name := filepath.Split(address)
	number, ok := strings.CutPrefix(filepath.Base(dir), "notify-")
	return ok && name == "socket" && number != "" && strings.Trim(number, "0123456789") == ""
}

// parentListens says whether the parent of the process holds the socket at
// this address: then it is a manager, and the variable is meant.
func (f *facts) parentListens(address string) bool {
	fds, err := sys.ReadFDs(f.stat.PPID)
	if err != nil {
		return false
	}
	sockets := f.sockets()
	return slices.ContainsFunc(fds, func(fd sys.FD) bool {
		s := sockets[fd.File.Inode]
		return fd.File.Is(syscall.S_IFSOCK) && s.serves && s.address == address
	})
}

// variables are the entries of an environment block, in its order.
type variables []string

// variables returns nil for a block that is none: programs that change their
// title in ps(1) write over it.
func (f *facts) variables() variables {
	if f.environErr != nil {
		return nil
	}
	var list variables
	for entry := range bytes.SplitSeq(f.environ, []byte{0}) {
		if len(entry) == 0 {
			continue
		}
		name, _, ok := strings.Cut(string(entry), "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			if len(list) == 0 {
				return nil
			}
			continue
		}
		list = append(list, string(entry))
	}
	return list
}

func (v variables) names() []string {
	var names []string
	seen := map[string]bool{}
	for _, entry := range v {
		name, _, _ := strings.Cut(entry, "=")
		if !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	return names
}

// get returns the first value of a name, as getenv(3) does.
func (v variables) get(name string) string {
	for _, entry := range v {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func (v variables) number(name string) int {
	n, err := strconv.Atoi(v.get(name))
	if err != nil {
		return 0
	}
	return n
}

func (v variables) addressedTo(name string, pid int) bool { return v.number(name) == pid }
