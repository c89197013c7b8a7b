// Package proctest lets a test binary be its own helper programs, start commands from hostile
// launchers and see what tests leave behind.
//
// A package that uses it has, in one of its test files,
//
//	func TestMain(m *testing.M) { proctest.Main(m) }
//
// and, next to the tests that need them, its helper programs:
//
//	var sleeper = proctest.Register("sleeper", func(args []string) int { … })
//
// On Linux the tests then run below a small init of their own: orphans are
// reaped at once, as on a real system, and what is still alive when the tests
// end fails the run. The package imports nothing but the standard library and
// internal/sys, because the tests of public packages use it.
package proctest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Program is a helper program that lives in the test binary.
type Program struct {
	name  string
	main  func(args []string) int
	used  atomic.Bool
	owned bool // by this package: need not be used
}

// programs are the registered helpers. Package-level variables fill it before
// main starts; nothing changes it afterwards.
var programs = map[string]*Program{}

// Register adds a helper program to the test binary. Its main gets the
// arguments without the program's name and returns the exit status. Call it
// from the initialiser of a package-level variable. A program that no test
// starts fails the run.
//
// A main that only waits to be killed sleeps for an hour: without cgo the
// runtime takes "select {}" for a deadlock and ends the program.
func Register(name string, main func(args []string) int) *Program {
	if programs[name] != nil || name == "" || strings.ContainsAny(name, "/ ") {
		panic(fmt.Sprintf("proctest: program %q is registered twice or has no usable name", name))
	}
	p := &Program{name: name, main: main}
	programs[name] = p
	return p
}

// prefix starts the file name of every helper program. The name of the
// executed file is the mark that makes the test binary a helper: unlike an
// environment variable it is not inherited by what the helper executes, and
// unlike argv[0] it does not depend on how the helper was started.
const prefix = "proctest-"

// called returns the program that this process was executed as, or nil.
func called() *Program {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	name, ok := strings.CutPrefix(filepath.Base(strings.TrimSuffix(exe, " (deleted)")), prefix)
	if !ok {
		return nil
	}
	if p := programs[name]; p != nil {
		return p
	}
	return &Program{main: func([]string) int {
		fmt.Fprintf(os.Stderr, "proctest: no program %q in this test binary\n", name)
		return 99
	}}
}

// Main is the TestMain of a package that uses proctest. It does not return.
func Main(m *testing.M) {
	if p := called(); p != nil {
		os.Exit(p.main(os.Args[1:]))
	}
	if !belowInit() {
		os.Exit(runInit())
	}
	AsLoggedIn()
	claimRunAs()
	code := m.Run()
	if code == 0 {
		code = checkUsed()
	}
	if err := reportUsed(); err != nil {
		fmt.Fprintln(os.Stderr, "proctest:", err)
		code = 1
	}
	if err := removeBinaries(); err != nil {
		fmt.Fprintln(os.Stderr, "proctest:", err)
		code = 1
	}
	os.Exit(code)
}

// checkUsed fails a complete run in which a registered program was never
// started: it is dead code, or the test that needs it has lost its way.
func checkUsed() int {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			return 0
		}
	}
	if testing.Short() || flag.Lookup("test.count").Value.String() == "0" {
		return 0
	}
	names := unused()
	if len(names) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "proctest: no test starts the programs %q\n", names)
	return 1
}

// unused lists the registered programs that were not started, sorted.
func unused() []string {
	var names []string
	for name, p := range programs {
		if !p.owned && !p.used.Load() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Path returns the absolute path of a file that executes the program, for a
// configuration file, a shell, or a user other than the one who runs the tests.
func (p *Program) Path(t testing.TB) string {
	t.Helper()
	p.used.Store(true)
	path, err := binary(prefix + p.name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Command returns a command that runs the program with these arguments.
func (p *Program) Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(p.Path(t), args...)
}

// binaries is the directory that holds the test binary under its names.
var binaries struct {
	sync.Mutex
	dir string
}

// binary returns a path below a directory that every user may enter, where the
// test binary goes by the given name. The directory of "go test" itself is
// closed to all but its owner.
func binary(name string) (string, error) {
	binaries.Lock()
	defer binaries.Unlock()
	if binaries.dir == "" {
		dir, err := os.MkdirTemp("", "proctest")
		if err != nil {
			return "", err
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return "", err
		}
		binaries.dir = dir
	}
	path := filepath.Join(binaries.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	// A hard link costs nothing, but fails from one file system to another
	// and on another user's file (fs.protected_hardlinks).
	if os.Link(exe, path) == nil {
		return path, nil
	}
	return path, copyFile(exe, path)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	// Under another name first, so that nobody executes half a file.
	out, err := os.OpenFile(to+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(to+".part", to)
}

func removeBinaries() error {
	if binaries.dir == "" {
		return nil
	}
	return os.RemoveAll(binaries.dir)
}

// usedNames lists the programs that were started, sorted.
func usedNames() []string {
	var names []string
	for name, p := range programs {
		if p.used.Load() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Eventually calls cond until it returns nil, and fails the test with its last
// error when that has not happened in time. The time is only how long a broken
// program may take to be called broken, so be generous: a sound one returns as
// soon as it can.
func Eventually(t testing.TB, within time.Duration, cond func() error) {
	t.Helper()
	if err := poll(within, cond); err != nil {
		t.Fatalf("not within %v: %v", within, err)
	}
}

// poll calls cond, after short and growing pauses, until it returns nil or the
// time is over, and returns its last error.
func poll(within time.Duration, cond func() error) error {
	deadline := time.Now().Add(within)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := cond()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}
