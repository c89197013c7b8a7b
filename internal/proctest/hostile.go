package proctest

import (
	"os"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// Hostile describes the state in which a command is started: one that an
// honest launcher may be in by accident. The zero value changes nothing; all
// that is set holds at once. Linux only: elsewhere Command skips the test.
type Hostile struct {
	// Leak are the numbers of descriptors that are open, without
	// close-on-exec, on files of several kinds. They may lie above what NoFile
	// allows, but not above the hard limit of the tests.
	Leak []int
	// Close are those of descriptors 0, 1 and 2 that are closed. What the
	// command's Stdin, Stdout or Stderr says of them is lost.
	Close []int
	// NoFile is RLIMIT_NOFILE; the zero value leaves it alone.
	NoFile sys.Rlimit
	// Block and Ignore are signals that are blocked, or ignored.
	Block, Ignore []sys.Signal
	// Umask is the umask, as text in octal; "" leaves it alone.
	Umask string
	// Terminal, when not nil, is opened and becomes the controlling terminal
	// of a session of the command's own, and its standard input.
	Terminal *Terminal
	// GroupLeader makes the command lead a process group; with Terminal it
	// always does.
	GroupLeader bool
	// DeletedDir makes a directory that no longer exists the working directory.
	DeletedDir bool
	// NoEnv empties the environment; Env is added to it, or to what is left.
	NoEnv bool
	Env   []string
	// Under is the program that starts the command, with all of the above.
	Under Wrapper
}

// Wrapper is a program that is asked to start the command.
type Wrapper string

// The wrappers. Each passes on the exit status of the command.
const (
	Direct   Wrapper = ""         // none
	Nohup    Wrapper = "nohup"    // nohup(1): SIGHUP ignored
	Script   Wrapper = "script"   // script(1): a terminal of its own, gone when the command returns
	Setsid   Wrapper = "setsid"   // setsid(1): a session without a terminal
	CleanEnv Wrapper = "env -i"   // env(1): no environment
	Cron     Wrapper = "cron"     // as cron(8) does: sh -c, a session, cwd /, four variables
	Pipeline Wrapper = "pipeline" // the first part of one, as of bash: cmd | cat
	// the first process of a pid namespace with its own /proc: all in it dies with it
	PID1 Wrapper = "pid 1"
)

// LeakedDescriptors are twenty scattered numbers: low ones that collide with
// what a program opens itself, the edges of bit maps, and some above the usual
// limit of 1024.
func LeakedDescriptors() []int {
	return []int{
		3, 4, 5, 7, 10, 13, 17, 31, 32, 63, 64, 65, 99, 255, 256, 511, 1000, 1023, 1024, 1500,
	}
}

// PollutedEnv returns an environment full of the marks that managers and other
// daemon libraries leave, all of them false for whoever reads them now.
func PollutedEnv() []string {
	return []string{
		"NOTIFY_SOCKET=/nonexistent/notify", "WATCHDOG_USEC=1000", "WATCHDOG_PID=1",
		"LISTEN_PID=1", "LISTEN_FDS=3", "LISTEN_FDNAMES=a:b:c",
		"MAINPID=1", "INVOCATION_ID=00000000000000000000000000000000", "JOURNAL_STREAM=8:1",
		"_GO_DAEMON=1", "__DAEMON_STAGE=1", "SUPERVISOR_ENABLED=1",
		"DAEMON=1", "GODEBUG=", "=rubbish", "EMPTY=",
	}
}

// Worst is the launcher that no daemonizer was seen to survive: a terminal,
// twenty leaked descriptors, signals blocked and ignored, and a closed umask.
func Worst() Hostile {
	return Hostile{
		Leak:     LeakedDescriptors(),
		Block:    []sys.Signal{sys.SIGTERM, sigusr2, sigchld},
		Ignore:   []sys.Signal{sigpipe, sys.SIGINT, sys.SIGHUP, sigusr1},
		Umask:    "077",
		Terminal: new(Terminal),
		Env:      PollutedEnv(),
	}
}

// Launcher is a Hostile with a name for a table of tests.
type Launcher struct {
	Name string
	Hostile
}

// Launchers returns the states that a daemon must not show a trace of, one by
// one and together. PID1 is not among them: with the launcher dies the daemon.
func Launchers() []Launcher {
	list := []Launcher{
		{"nothing special", Hostile{}},
		{"leaked descriptors", Hostile{Leak: LeakedDescriptors()}},
		{"descriptors above the limit",
			Hostile{Leak: LeakedDescriptors(), NoFile: sys.Rlimit{Soft: 64, Hard: 64}}},
		{"blocked signals", Hostile{Block: []sys.Signal{sys.SIGTERM, sigusr2, sigchld}}},
		{"ignored signals", Hostile{Ignore: []sys.Signal{sigpipe, sys.SIGINT,
			sys.SIGHUP, sigusr1, sigchld}}},
		{"ignored job control", Hostile{Ignore: []sys.Signal{sigttou, sigttin, sigtstp}}},
		{"umask 077", Hostile{Umask: "077"}},
		{"umask 0", Hostile{Umask: "0"}},
		{"controlling terminal", Hostile{Terminal: new(Terminal)}},
		{"deleted directory", Hostile{DeletedDir: true}},
		{"no environment", Hostile{NoEnv: true}},
		{"polluted environment", Hostile{Env: PollutedEnv()}},
		{"group leader", Hostile{GroupLeader: true}},
		{"everything", Worst()},
	}
	for _, closed := range [][]int{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}} {
		list = append(list, Launcher{"closed " + numbers(closed), Hostile{Close: closed}})
	}
	for _, w := range []Wrapper{Nohup, Script, Setsid, CleanEnv, Cron, Pipeline} {
		list = append(list, Launcher{"under " + string(w), Hostile{Under: w}})
	}
	worst := Worst()
	worst.Close = []int{0, 1, 2}
	worst.DeletedDir, worst.NoEnv = true, true
	worst.NoFile = sys.Rlimit{Soft: 64, Hard: 64}
	return append(list, Launcher{"everything and nothing to stand on", worst})
}

func numbers(list []int) string {
	digits := make([]string, len(list))
	for i, n := range list {
		digits[i] = string(rune('0' + n))
	}
	return strings.Join(digits, " and ")
}

// Terminal is a pseudoterminal for Hostile. Its zero value is not open yet.
type Terminal struct {
	master, slave *os.File
	output        chan []byte // the reader's answer, once, when the master is closed
}
