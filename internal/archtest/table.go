package archtest

import (
	"path"
	"strings"
)

// entry is what the tree knows of a package before it reads it.
type entry struct {
	// says is the first sentence of the package's doc comment. The table and
	// the package change together, so that no package drifts from its one job.
	says string
	// imports are the packages of both modules that its program files may
	// import, by directory and with a space between; its tests may import any.
	imports string
}

// table lists every package. A directory that is not in it fails the tests
// until it is added here; a pattern stands for packages that are all alike.
var table = map[string]entry{
	".": {
		says: "Package daemonry turns the running program into a daemon and tells the " +
			"launcher how that went.",
		imports: "internal/account internal/lastwords internal/spawn internal/sys notify " +
			"pidfile",
	},
	"notify": {
		says: "Package notify says ready, reloading, stopping, status and watchdog to whoever " +
			"started us, and reads and writes the messages that do so.",
		imports: "internal/sys",
	},
	"listen": {
		says:    "Package listen takes over sockets handed to us, checked and by name.",
		imports: "internal/sys",
	},
	"upgrade": {
		says:    "Package upgrade replaces the running binary without dropping a connection.",
		imports: "internal/lastwords internal/spawn internal/sys listen notify pidfile",
	},
	"pidfile": {
		says: "Package pidfile holds a locked pid file and tells whether a recorded process " +
			"is still that process.",
		imports: "internal/atomicfile internal/sys",
	},
	"journal": {
		says: "Package journal writes log records with their levels into systemd's journal, and " +
			"as plain lines where there is none.",
		imports: "internal/sys",
	},
	"spec": {
		says: "Package spec says what a service is: its fields, their defaults and their " +
			"validation.",
	},
	"control": {
		says:    "Package control is the supervisor's API: its types, its version and its client.",
		imports: "spec",
	},
	"boot": {
		says: "Package boot installs a program as a service of the machine's init system, and " +
			"runs it as one.",
		imports: ". internal/boot internal/sys notify spec",
	},
	"examples/": {imports: publics},
	"bench/":    {imports: "internal/ " + publics},
	".ci/":      {},
	"internal/sys": {
		says: "Package sys is the one place that talks to the kernel: one documented, EINTR-safe " +
			"wrapper per system call, returning typed errors.",
	},
	"internal/cgroup": {
		says: "Package cgroup keeps each service in a control group of its own, so that " +
			"whatever it forks is found there, limited and ended.",
		imports: "internal/atomicfile internal/sys spec",
	},
	"internal/account": {
		says: "Package account reads who the users and groups of a machine are from passwd(5) " +
			"and group(5), and says so where others know more than these files.",
	},
	"internal/lastwords": {
		says: "Package lastwords finds a program's last words in what it has printed.",
	},
	"internal/atomicfile": {
		says: "Package atomicfile replaces a file whole or not at all.",
	},
	"internal/spawn": {
		says:    "Package spawn starts a process exactly as described, or says which step failed.",
		imports: "internal/lastwords internal/sys",
	},
	"internal/proctree": {
		says: "Package proctree finds every process that belongs to a daemon, and ends them " +
			"all without hitting a stranger.",
		imports: "internal/cgroup internal/sys",
	},
	"cmd/internal/probe": {
		says:    "Package probe finds out whether a service is ready or alive, by asking it.",
		imports: "internal/spawn internal/sys notify spec",
	},
	"cmd/internal/socket": {
		says:    "Package socket opens the sockets and FIFOs that a service is handed.",
		imports: "internal/sys spec",
	},
	"cmd/internal/launch": {
		says: "Package launch turns a service's description into what spawn starts and how it " +
			"is learned that it is ready.",
		imports: "cmd/internal/probe internal/account internal/spawn internal/sys spec",
	},
	"internal/check": {
		says: "Package check proves from the kernel's evidence which of the fifteen steps of " +
			"daemon(7) hold for a process.",
		imports: "internal/proctree internal/sys pidfile",
	},
	"cmd/internal/detach": {
		says: "Package detach turns any program into a daemon, and finds, signals and stops " +
			"it again by its pid file.",
		imports: "cmd/internal/probe cmd/internal/launch internal/lastwords internal/proctree " +
			"internal/spawn internal/sys notify pidfile spec",
	},
	"cmd/internal/logs": {
		says: "Package logs drains what services print into files, rotates them, and never " +
			"blocks a service.",
		imports: "internal/atomicfile internal/lastwords cmd/internal/logs/ internal/sys",
	},
	"cmd/internal/logs/benchengine": {
		says: "Command benchengine runs the log engine alone, in a process of its own, for " +
			"bench/logs.",
		imports: "cmd/internal/logs cmd/internal/logs/line",
	},
	"cmd/internal/children": {
		says: "Package children is the table of a supervisor's processes: for whom each was " +
			"started, who has died or was left behind, and whom a signal may reach.",
		imports: "cmd/internal/loop internal/cgroup internal/proctree internal/spawn internal/sys",
	},
	"cmd/internal/loop": {
		says: "Package loop runs functions, one after the other, in the goroutine that owns a " +
			"state; its work elsewhere, and its timers.",
	},
	"cmd/internal/safetext": {
		says: "Package safetext makes text that others can influence harmless for the terminal " +
			"that shows it.",
	},
	"cmd/internal/logs/layout": {
		says: "Package layout says how a service's log files are named, so that who writes " +
			"them and who reads them agree.",
		imports: "internal/sys",
	},
	"cmd/internal/logs/stage": {
		says: "Package stage carries output from a FIFO into a file so that the death of the " +
			"carrying process at any instruction loses nothing and doubles nothing.",
		imports: "internal/sys",
	},
	"cmd/internal/logs/line": {
		says: "Package line says how a line of output is written into a log file and how it is " +
			"read back.",
	},
	"cmd/internal/logs/target": {
		says: "Package target delivers lines of output to places that are not files: syslog, " +
			"the journal, a terminal, a program.",
		imports: "cmd/internal/logs/line cmd/internal/safetext internal/sys",
	},
	"cmd/internal/handover": {
		says: "Package handover holds the descriptors that services are handed: sockets, what " +
			"they have stored with us, and what goes to the next program.",
		imports: "cmd/internal/launch cmd/internal/socket internal/spawn internal/sys notify spec",
	},
	"cmd/internal/launch/supervised": {
		says: "Package supervised launches the processes of a supervised service: the main " +
			"one, helper commands, and programs that read its log.",
		imports: "internal/cgroup cmd/internal/children cmd/internal/handover " +
			"cmd/internal/launch cmd/internal/logs cmd/internal/logs/ cmd/internal/probe " +
			"internal/spawn internal/sys spec",
	},
	"cmd/internal/events": {
		says: "Package events keeps the last events of a supervisor and tells those who " +
			"listen of new ones.",
		imports: "cmd/internal/loop control",
	},
	"cmd/internal/hearing": {
		says: "Package hearing receives what services say (sd_notify(3)), and keeps what " +
			"comes of processes that nobody knows yet.",
		imports: "cmd/internal/handover cmd/internal/loop internal/sys notify",
	},
	"cmd/internal/persist": {
		says: "Package persist keeps what a supervisor must find again after it was killed: a " +
			"journal of records that is true at every moment, who owns it, and files that are " +
			"written in the background.",
		imports: "internal/atomicfile internal/sys",
	},
	"cmd/internal/environ": {
		says: "Package environ keeps the environments that services share, each in a file named " +
			"by its content.",
		imports: "internal/atomicfile",
	},
	"cmd/internal/registry": {
		says:    "Package registry knows services by every name by which they are asked for.",
		imports: "spec",
	},
	"cmd/internal/kept": {
		says: "Package kept has on disk what a supervisor must find again of its services: what " +
			"is true of each, how it is described, whether it is wanted; and reads what the " +
			"supervisor before it has left.",
		imports: "cmd/internal/children cmd/internal/lifecycle cmd/internal/persist spec",
	},
	"cmd/internal/lifecycle": {
		says: "Package lifecycle takes one service through its states: start, ready, stop, " +
			"start again.",
		imports: "cmd/internal/children cmd/internal/handover cmd/internal/hearing " +
			"cmd/internal/launch cmd/internal/launch/supervised cmd/internal/logs " +
			"cmd/internal/loop cmd/internal/probe cmd/internal/socket control internal/cgroup " +
			"internal/spawn internal/sys notify spec",
	},
	"cmd/internal/waiters": {
		says: "Package waiters has those who wait for a service, and says what each of them is " +
			"told, and when.",
		imports: "cmd/internal/lifecycle cmd/internal/loop control internal/spawn spec",
	},
	"cmd/internal/supervise": {
		says: "Package supervise owns every service: requests, dependencies, what is wanted, " +
			"the take-over.",
		imports: "cmd/internal/children cmd/internal/environ cmd/internal/events " +
			"cmd/internal/handover cmd/internal/hearing cmd/internal/kept cmd/internal/launch " +
			"cmd/internal/launch/supervised cmd/internal/lifecycle cmd/internal/logs " +
			"cmd/internal/logs/ cmd/internal/loop cmd/internal/persist cmd/internal/registry " +
			"cmd/internal/waiters control internal/cgroup internal/spawn internal/sys spec",
	},
	"cmd/internal/logs/query": {
		says: "Package query finds lines in log files, current, rotated and compressed, and " +
			"follows them as they grow.",
		imports: "cmd/internal/logs/layout cmd/internal/logs/line internal/sys spec",
	},
	"internal/paths": {
		says:    "Package paths says where things live.",
		imports: "internal/account internal/sys",
	},
	"cmd/internal/successor": {
		says: "Package successor puts another program in the place of a running supervisor, " +
			"in the same process.",
		imports: "cmd/internal/handover internal/spawn cmd/internal/supervise internal/sys",
	},
	"cmd/internal/server": {
		says: "Package server serves the control API by sending messages to the engine.",
		imports: "control cmd/internal/events cmd/internal/handover cmd/internal/logs " +
			"cmd/internal/logs/ internal/paths cmd/internal/successor cmd/internal/supervise " +
			"cmd/internal/waiters internal/sys spec",
	},
	"cmd/internal/readers": {
		says: "Package readers holds what the readers of all formats share: how a file is read, " +
			"and what is said of its lines.",
		imports: "spec",
	},
	"cmd/internal/readers/": {imports: "cmd/internal/readers spec"},
	"internal/writers": {
		says: "Package writers holds what the writers of all targets share: files, notes, and " +
			"the account that keeps every field from being lost.",
		imports: "internal/atomicfile spec",
	},
	"internal/writers/": {
		imports: "internal/atomicfile internal/writers internal/writers/ spec",
	},
	"cmd/internal/writers/": {imports: "internal/writers internal/writers/"},
	"internal/boot": {
		says: "Package boot installs and removes boot services of the machine's init system.",
		imports: "internal/account internal/atomicfile internal/paths internal/sys " +
			"internal/writers internal/writers/ spec",
	},
	"cmd/internal/cli": {
		says: "Package cli turns words into calls, and results into text, JSON and exit codes.",
		imports: "internal/atomicfile internal/boot internal/cgroup internal/check " +
			"cmd/internal/detach cmd/internal/logs cmd/internal/logs/ internal/paths " +
			"cmd/internal/probe cmd/internal/launch internal/proctree cmd/internal/readers/ " +
			"cmd/internal/safetext cmd/internal/server internal/spawn cmd/internal/successor " +
			"cmd/internal/supervise internal/sys internal/writers cmd/internal/writers/ " +
			"internal/writers/ " + publics,
	},
	"internal/archtest": {
		says: "Package archtest holds the rules of the source tree as failing tests: who may " +
			"import whom, and what no file may contain.",
	},
	"internal/proctest/slow": {
		says: "Package slow has the initialisation of a test program, in every process of it, " +
			"take as long as a variable of the environment says, or fail.",
	},
	"internal/proctest": {
		says: "Package proctest lets a test binary be its own helper programs, start commands " +
			"from hostile launchers and see what tests leave behind.",
		imports: "internal/sys",
	},
	"cmd/daemonry": {
		says:    "Command daemonry runs programs as daemons.",
		imports: "cmd/internal/cli",
	},
}

// public are the packages whose exported identifiers are a promise.
var public = strings.Fields(publics)

const publics = ". boot control journal listen notify pidfile spec upgrade"

// heavy is what a package must not pull into a program that imports it, not
// even through other packages: net and os/user link libc when cgo is on, so a
// static program would stop being static; the others cost size and start-up.
var heavy = map[string][]string{
	".":       append([]string{"net", "encoding/json"}, heavyForAll...),
	"notify":  append([]string{"net", "encoding/json"}, heavyForAll...),
	"pidfile": append([]string{"net", "encoding/json"}, heavyForAll...),
	"journal": append([]string{"net"}, heavyForAll...),
	"listen":  heavyForAll,
	"upgrade": heavyForAll,
}

var heavyForAll = []string{"net/http", "os/exec", "os/user", "text/template", "html/template"}

// thirdParty lists the modules of others and who may import them. Program
// packages are named in use, packages whose tests alone may in tests.
var thirdParty = []struct {
	module     string
	use, tests []string
}{
	// of which the latter is for tests
	{module: "golang.org/x/sys", use: []string{"internal/sys", "internal/proctest"}},
	{module: "github.com/spf13/cobra", use: []string{"cmd/internal/cli"}},
	{module: "github.com/spf13/pflag", use: []string{"cmd/internal/cli"}},
	{module: "github.com/pelletier/go-toml/v2", use: []string{"cmd/internal/readers/"}},
	{module: "github.com/prometheus/client_golang", use: []string{"cmd/internal/server"}},
	{module: "github.com/klauspost/compress",
		use: []string{"cmd/internal/logs", "cmd/internal/logs/query"}},
	{module: "github.com/rogpeppe/go-internal",
		tests: []string{"cmd/daemonry", "cmd/internal/cli"}},
	{module: "github.com/google/go-cmp", tests: []string{"cmd/"}},
	{module: "go.uber.org/goleak", tests: []string{"cmd/"}},
	{module: "pgregory.net/rapid", tests: []string{"cmd/"}},
}

// mayExit lists where a process may be ended without returning.
var mayExit = []string{
	"cmd/daemonry/", "cmd/internal/cli/", // turn a result into an exit status
	"examples/", "bench/", ".ci/", "cmd/internal/logs/benchengine/", // are programs
	"daemon.go",                      // Fail: its caller is main, and nothing may run after it
	"upgrade/waiter.go",              // process 1 ends as the program does that it waits for
	"internal/spawn/stage.go",        // the stage's last resort, when even execve failed
	"internal/spawn/watch.go",        // the watcher is a process that never was a main
	"internal/spawn/intermediate.go", // likewise
}

// mayInit lists the packages that may do work at import: the stage must
// recognise itself before any of the user's code runs.
var mayInit = []string{"internal/spawn"}

// maySleep lists the program files that call time.Sleep.
var maySleep = []string{
	// the end of another process's lease comes without an event for who asked
	"internal/sys/open_unix.go",
	// flock(2) of another process cannot be polled, and waiting in the kernel for it could not be
	// given up
	"cmd/internal/server/lock.go",
	// that a child has stopped is told once, to whoever waits first: a program may do so besides us
	"internal/spawn/start_unix.go",
	// a measurement takes place while time passes
	"bench/",
}

// pure are the functions and types of other packages that an initialiser of a
// package-level variable may call: none reads or changes anything outside its
// arguments.
var pure = []string{
	"errors.New", "fmt.Errorf", "reflect.TypeFor", "strings.NewReplacer", "strings.Repeat",
	"sync.OnceFunc", "sync.OnceValue", "sync.OnceValues",
	"time.Duration", "syscall.Errno", "syscall.Signal", "fs.FileMode", "os.FileMode",
	"unix.CmsgSpace",
}

// rootFiles are the files of the root directory besides the root package.
var rootFiles = []string{
	"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md",
	"go.mod", "go.sum", "go.work", "go.work.sum",
}

// maxLines is the most lines a program file may have: more is two files.
const maxLines = 450

// lookup finds the entry of a package: by its own name, else by the longest
// "dir/" that it lies below.
func lookup(dir string) (entry, bool) {
	if e, ok := table[dir]; ok {
		return e, true
	}
	for parent := path.Dir(dir); parent != "."; parent = path.Dir(parent) {
		if e, ok := table[parent+"/"]; ok {
			return e, true
		}
	}
	return entry{}, false
}

// within says whether a path is one of the listed ones or lies below a listed
// one that ends in a slash.
func within(name string, list []string) bool {
	for _, l := range list {
		if name == l || strings.HasSuffix(l, "/") && strings.HasPrefix(name, l) {
			return true
		}
	}
	return false
}

// testOnly says whether a package is never part of a program.
func testOnly(dir string) bool {
	return dir == "internal/archtest" || dir == "internal/proctest" ||
		dir == "internal/proctest/slow"
}
