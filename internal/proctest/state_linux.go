package proctest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

// State is what /proc shows of a process. It is read with code of its own, so
// that it can bear witness for or against what the programs read.
type State struct {
	PID, PPID, PGID, SID int
	InnerPID             int  // its pid in its own pid namespace
	TTY                  int  // device number of the controlling terminal, 0 for none
	State                byte // R, S, D, T, Z, …
	Comm                 string
	Args, Environ        []string
	Cwd, Root, Exe       string // as the links read: " (deleted)" may follow
	Umask                int
	Blocked              sys.SignalSet // of the main thread
	Ignored, Caught      sys.SignalSet
	UIDs, GIDs           [4]int // real, effective, saved, file system
	Groups               []int
	NoNewPrivs           bool
	Nice, OOMScoreAdj    int
	// number → target of the link
	FDs map[int]string
	// soft and hard RLIMIT_NOFILE, as /proc/PID/limits words them
	NoFile [2]string
}

// Inspect reads the state of a process and fails the test if there is none.
func Inspect(t testing.TB, pid int) State {
	t.Helper()
	s, err := ReadState(pid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ReadState reads the state of a process. A zombie is an error: nothing but
// its status is left of it.
func ReadState(pid int) (State, error) {
	s := State{PID: pid}
	var r procReader
	r.dir = "/proc/" + strconv.Itoa(pid)
	r.stat(&s)
	r.status(&s)
	s.Args = r.list("cmdline")
	s.Environ = r.list("environ")
	s.Cwd, s.Root, s.Exe = r.link("cwd"), r.link("root"), r.link("exe")
	s.OOMScoreAdj = r.int(strings.TrimSpace(r.file("oom_score_adj")))
	for line := range strings.Lines(r.file("limits")) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(line, "Max open files") {
			s.NoFile = [2]string{f[3], f[4]}
		}
	}
	if r.err != nil {
		return s, r.err
	}
	var err error
	s.FDs, err = descriptors(pid)
	return s, err
}

// procReader keeps the first error of a series of reads.
type procReader struct {
	dir string
	err error
}

func (r *procReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *procReader) file(name string) string {
	data, err := os.ReadFile(r.dir + "/" + name)
	r.keep(err)
	return string(data)
}

func (r *procReader) link(name string) string {
	target, err := os.Readlink(r.dir + "/" + name)
	r.keep(err)
	return target
}

// list splits a file of strings that each end in a zero byte.
func (r *procReader) list(name string) []string {
	data := strings.TrimSuffix(r.file(name), "\x00")
	if data == "" {
		return nil
	}
	return strings.Split(data, "\x00")
}

func (r *procReader) int(s string) int {
	n, err := strconv.Atoi(s)
	r.keep(err)
	return n
}

func (r *procReader) ints(s string) []int {
	var list []int
	for _, f := range strings.Fields(s) {
		list = append(list, r.int(f))
	}
	return list
}

func (r *procReader) signals(s string) sys.SignalSet {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 16, 64)
	r.keep(err)
	return sys.SignalSet(n)
}

func (r *procReader) stat(s *State) {
	line := r.file("stat")
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		r.keep(fmt.Errorf("%s/stat: no name in %q", r.dir, line))
		return
	}
	f := strings.Fields(line[end+1:])
	if len(f) < 20 {
		r.keep(fmt.Errorf("%s/stat: too short: %q", r.dir, line))
		return
	}
	_, s.Comm, _ = strings.Cut(line[:end], "(")
	s.State = f[0][0]
	s.PPID, s.PGID, s.SID, s.TTY = r.int(f[1]), r.int(f[2]), r.int(f[3]), r.int(f[4])
	s.Nice = r.int(f[16])
	if s.State == 'Z' && r.int(f[17]) <= 1 {
		r.keep(fmt.Errorf("process %d (%s) is a zombie", s.PID, s.Comm))
	}
}

func (r *procReader) status(s *State) {
	for line := range strings.Lines(r.file("status")) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Umask":
			n, err := strconv.ParseInt(strings.TrimSpace(value), 8, 32)
			r.keep(err)
			s.Umask = int(n)
		case "NSpid":
			for _, n := range r.ints(value) {
				s.InnerPID = n
			}
		case "SigBlk":
			s.Blocked = r.signals(value)
		case "SigIgn":
			s.Ignored = r.signals(value)
		case "SigCgt":
			s.Caught = r.signals(value)
		case "Uid":
			copy(s.UIDs[:], r.ints(value))
		case "Gid":
			copy(s.GIDs[:], r.ints(value))
		case "Groups":
			s.Groups = r.ints(value)
		case "NoNewPrivs":
			s.NoNewPrivs = strings.TrimSpace(value) == "1"
		}
	}
}

// descriptors returns the open descriptors of a process and what they lead to.
func descriptors(pid int) (map[int]string, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/fd"
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	dir.Close()
	if err != nil {
		return nil, err
	}
	fds := map[int]string{}
	for _, name := range names {
		target, err := os.Readlink(path + "/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // closed since, as the directory we read from was
		}
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(name)
		if err != nil {
			return nil, err
		}
		fds[n] = target
	}
	return fds, nil
}

// Alive says whether a process runs: a zombie does not.
func Alive(pid int) bool {
	p, err := readProcess(pid)
	return err == nil && !p.zombie()
}

// Gone waits until a process has ended, and fails the test if it does not.
func Gone(t testing.TB, pid int) {
	t.Helper()
	Eventually(t, 3*leaveTime, func() error {
		if Alive(pid) {
			return fmt.Errorf("process %d is alive", pid)
		}
		return nil
	})
}

// KillAtEnd kills a process when the test ends, if it is still the same one,
// and waits until it is gone: for a daemon that a failing test would leave.
func KillAtEnd(t testing.TB, pid int) {
	t.Helper()
	before, err := readProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer handle.Release()
		if now, err := readProcess(pid); err != nil || now.start != before.start {
			return
		}
		if err := handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("kill %d: %v", pid, err)
		}
		Gone(t, pid)
	})
}
