package sys

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const tail = " S 2 3 4 -5 6 0 0 0 0 0 1 2 3 4 20 0 7 0 18446744073709551615 4096 0"
	want := ProcStat{PID: 1, State: 'S', PPID: 2, PGRP: 3, Session: 4, TTYNr: -5, TPGID: 6,
		Threads: 7, StartTime: math.MaxUint64}
	for _, comm := range []string{
		"sh", "a b", "(", ")", ") S 9 9 9 9 9", "(x) (y)", "new\nline", "", "\xff",
	} {
		want.Comm = comm
		got, err := parseStat([]byte("1 (" + comm + ")" + tail))
		if err != nil {
			t.Errorf("comm %q: %v", comm, err)
		}
		if got != want {
			t.Errorf("comm %q: %+v, want %+v", comm, got, want)
		}
	}
	if got, err := parseStat([]byte("1 (a)" +
		strings.Replace(tail, " 4096 ", " 0 ", 1))); err != nil || !got.Unmapped {
		t.Errorf("without memory: %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "1", "(", ")(", "1 (a)", "(a)" + tail, "1(a)" + tail, "x (a)" + tail, "1 (a" + tail,
		"1 (a)" + strings.Replace(tail, "S", "SS", 1),
		"1 (a)" + strings.Replace(tail, " 7 ", " seven ", 1),
		"1 (a)" + strings.Replace(tail, "18446744073709551615", "-1", 1),
		"99999999999 (a)" + tail,
	} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (a b) S 2 3 4 5 6 0 0 0 0 0 1 2 3 4 20 0 7 0 8 0 0"))
	f.Add([]byte(") ("))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseStat(data)
		if err != nil {
			return
		}
		size := map[bool]int{false: 4096, true: 0}
		again := fmt.Appendf(nil, "%d (%s) %c %d %d %d %d %d 0 0 0 0 0 0 0 0 0 0 0 %d 0 %d %d",
			s.PID, s.Comm, s.State, s.PPID, s.PGRP, s.Session, s.TTYNr, s.TPGID, s.Threads,
			s.StartTime, size[s.Unmapped])
		if back, err := parseStat(again); err != nil || back != s {
			t.Errorf("%+v came back as %+v, %v", s, back, err)
		}
	})
}

func TestReadStatOfOurselves(t *testing.T) {
	s, err := ReadStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if s.PID != os.Getpid() || s.PPID != os.Getppid() || s.PGRP != syscall.Getpgrp() ||
		s.Session != int(sid) || s.Threads < 1 {
		t.Errorf("ReadStat of ourselves: %+v", s)
	}
	started, err := StartedAt(s)
	if err != nil || time.Since(started) > time.Hour || time.Since(started) < -time.Second {
		t.Errorf("StartedAt = %v, %v; it is now %v", started, err, time.Now())
	}
	u, err := ReadUserIDs(os.Getpid())
	if want := (UserIDs{os.Getuid(), os.Geteuid(), os.Geteuid()}); err != nil || u != want {
		t.Errorf("ReadUserIDs = %+v, %v; want %+v", u, err, want)
	}
}

// A program may give itself any name; here one that looks like the fields that follow it.
func TestReadStatWithNastyName(t *testing.T) {
	const name = "a) Z 1 (\n"
	cmd := exec.Command("/bin/sh", "-c", `printf '%s' "$1" >/proc/$$/comm; echo; read x`,
		"sh", name)
	in, out := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s, err := ReadStat(cmd.Process.Pid)
	if err != nil || s.Comm != name || s.PPID != os.Getpid() {
		t.Errorf("ReadStat = %+v, %v; want the name %q", s, err, name)
	}
}

func TestReadStatErrors(t *testing.T) {
	if _, err := ReadStat(deadPID(t)); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("of a dead process: %v, want ESRCH", err)
	}
	for _, pid := range []int{0, -1, math.MinInt} {
		if _, err := ReadStat(pid); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("of pid %d: %v, want EINVAL", pid, err)
		}
	}
	if _, err := ReadStat(math.MaxInt32); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("of the greatest pid: %v, want ESRCH", err)
	}
}

func TestZombieHasExited(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := PidfdOpen(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := PidfdWait(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s, err := ReadStat(cmd.Process.Pid)
	if err != nil || !s.Exited() {
		t.Errorf("unreaped: %+v, %v; want a zombie", s, err)
	}
	if _, err := Identify(cmd.Process.Pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("Identify of a zombie: %v, want ESRCH", err)
	}
	if _, err := Pin(cmd.Process.Pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("Pin of a zombie: %v, want ESRCH", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if (ProcStat{State: 'Z', Threads: 2}).Exited() {
		t.Error("a leader that ended before its threads counts as an ended process")
	}
}

// pipes gives cmd a pipe as its standard input and output.
func pipes(t *testing.T, cmd *exec.Cmd) (in, out *os.File) {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, os.Stderr
	t.Cleanup(func() {
		for _, f := range []*os.File{inR, inW, outR, outW} {
			_ = f.Close()
		}
	})
	return inW, outR
}

func deadPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestReadUsage(t *testing.T) {
	before, err := ReadUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Memory < 1<<20 {
		t.Errorf("memory of a Go program: %d bytes", before.Memory)
	}
	// Until the kernel counts three ticks more: on an idle or a busy machine, time spent is spent.
	deadline := time.Now().Add(time.Minute)
	for {
		now, err := ReadUsage(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now.CPU >= before.CPU+3*userTick {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute of work: %v, before: %v", now.CPU, before.CPU)
		}
	}
	if _, err := ReadUsage(1 << 30); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("no such process: %v", err)
	}
}

func TestParseCPU(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1 (a) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 5": 2 * time.Second,
		"1 (b) S 9 (c) d) S 0 1 1 0 -1 4194560 1 2 3 4 1 0 7 8 20 0 1 0 " +
			"5": 10 * time.Millisecond,
		"1 (a) S 0 1 1 0 -1 4194560 1 2 3 4 18446744073709551615 50 7 8 20 0": -1,
		"1 (a) S 0 1": -1,
		"":            -1,
	} {
		got, err := parseCPU([]byte(text))
		if want >= 0 && (err != nil || got != want) || want < 0 && err == nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestParseMounts(t *testing.T) {
	mounts := parseMounts([]byte("21 1 8:1 / / rw - ext4 /dev/sda1 rw\n" +
		"22 21 0:30 /docker/a\\040b /sys/fs/cgroup rw shared:1 - cgroup2 none rw\n" +
		"23 22 8:3 / /home/a\\134\\011\\0x rw - ext4 /dev/sda3 rw\n" +
		"30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup2 rw,memory\n" +
		"31 23 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n" +
		" - cgroup2 \n-\n\nshort\n"))
	want := []Mount{
		{ID: 21, Dev: 8<<8 | 1, Root: "/", Point: "/", Type: "ext4"},
		{ID: 22, Dev: 30, Root: "/docker/a b", Point: "/sys/fs/cgroup", Type: "cgroup2"},
		{ID: 23, Dev: 8<<8 | 3, Root: "/", Point: "/home/a\\\t\\0x", Type: "ext4"},
		{ID: 30, Dev: 27, Root: "/", Point: "/sys/fs/cgroup/memory", Type: "cgroup"},
		{ID: 31, Dev: 28, Root: "/", Point: "/sys/fs/cgroup/unified", Type: "cgroup2"},
	}
	if !slices.Equal(mounts, want) {
		t.Errorf("%+v", mounts)
	}
	if own, err := Mounts(0); err != nil || len(own) == 0 {
		t.Errorf("%v, %v of ourselves", own, err)
	}
}

// What is told of ourselves is what we know.
func TestOurselves(t *testing.T) {
	pid := os.Getpid()
	if words, err := Cmdline(pid); err != nil || !slices.Equal(words, os.Args) {
		t.Errorf("%q, %v, want %q", words, err, os.Args)
	}
	if env, err := Environ(pid); err != nil || !strings.Contains(string(env), "PATH=") {
		t.Errorf("%q, %v", env, err)
	}
	if groups, err := Cgroups(0); err != nil || len(groups) == 0 {
		t.Errorf("%v, %v", groups, err)
	}
	if pids, err := PIDs(); err != nil || !slices.Contains(pids, pid) {
		t.Errorf("%v, %v", pids, err)
	}
	dir, _ := os.Getwd()
	if name, file, err := DirectoryOf(pid, "cwd"); err != nil || name != dir ||
		!file.Is(syscall.S_IFDIR) {
		t.Errorf("%s, %v, %v", name, file, err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	fd := int(f.Fd())
	if text, err := ReadOpenFile(pid, fd); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	if file, err := StatOpenFile(0, fd); err != nil || file.Size != 4 {
		t.Errorf("%+v, %v", file, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if name, err := NameOf(f); err != nil || name != f.Name() {
		t.Errorf("%s, %v, want %s", name, err, f.Name())
	}
	if err := Unlink(f.Name()); err != nil {
		t.Errorf("remove what is not there: %v", err)
	}
}
