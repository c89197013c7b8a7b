package sys

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// lookUntil looks until the program has done what it is to be seen at, or half a minute is over.
func lookUntil(t *testing.T, a *Activity, what string, seen func(Doing) bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		d, err := a.Look(nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen(d) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not seen; %+v", what, d)
		}
	}
}

// TestActivity: what a real program and what it starts do is seen, also by one that has lost its
// parent.
func TestActivity(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c",
		"read x; (sh -c 'read y <&3; while :; do :; done' & echo $! >&4; read z) <&0; read w")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.ExtraFiles = []*os.File{r, outW}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	outW.Close()
	a := NewActivity(cmd.Process.Pid)
	rest := func(d Doing) bool { return !d.Running && !d.Changed && d.Used < time.Millisecond }
	lookUntil(t, a, "rest", rest)
	in.Write([]byte("x\n"))
	lookUntil(t, a, "two descendants", func(d Doing) bool { return d.Threads == 3 && rest(d) })
	in.Write([]byte("z\n"))
	lookUntil(t, a, "one, whose parent is gone",
		func(d Doing) bool { return d.Threads == 2 && rest(d) })
	pid := make([]byte, 16)
	n, err := out.Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("y\n"))
	lookUntil(t, a, "the descendant runs", func(d Doing) bool { return d.Running && d.Used > 0 })
	exec.Command("/bin/kill", "-9", string(pid[:n-1])).Run()
	lookUntil(t, a, "rest again", func(d Doing) bool { return d.Threads == 1 && rest(d) })
	in.Close()
	cmd.Wait()
	w.Close()
	lookUntil(t, a, "a program that has ended is not at rest",
		func(d Doing) bool { return d.Running && d.Threads == 0 })
}

// TestActivityWaits: who has no processor because others use them all is seen to wait.
func TestActivityWaits(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		// Without CONFIG_SCHED_INFO nothing is known of it, and so nothing is left out.
		if d, err := NewActivity(os.Getpid()).Look(nil); err != nil || d.Waited != 0 {
			t.Errorf("%v, %+v", err, d)
		}
		return
	}
	for range runtime.NumCPU() + 1 {
		cmd := exec.Command("/bin/sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
	}
	lookUntil(t, NewActivity(os.Getpid()), "waits",
		func(d Doing) bool { return d.Waited > time.Millisecond })
}

// TestActivityOfThreads: all threads of ours are there, and what they use.
func TestActivityOfThreads(t *testing.T) {
	a := NewActivity(os.Getpid())
	if d, err := a.Look(nil); err != nil || !d.Running || !d.Changed || d.Used != 0 ||
		d.Threads < 2 {
		t.Errorf("%v, %+v", err, d)
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	if d, err := a.Look(nil); err != nil || d.Used < time.Millisecond {
		t.Errorf("%v, %+v", err, d)
	}
	if _, err := NewActivity(1 << 30).Look(nil); err != nil && !errors.Is(err, ErrHidden) {
		t.Error(err)
	}
}

// BenchmarkActivity is the cost of a look at a process with one thread.
func BenchmarkActivity(b *testing.B) {
	cmd := exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	a := NewActivity(cmd.Process.Pid)
	for b.Loop() {
		if _, err := a.Look(nil); err != nil {
			b.Fatal(err)
		}
	}
}

// TestActivityOfAnotherOne: a number that was followed and is a stranger's by now is followed no
// more.
func TestActivityOfAnotherOne(t *testing.T) {
	var pids []int
	for range 2 {
		cmd := exec.Command("/bin/sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		pids = append(pids, cmd.Process.Pid)
	}
	a := NewActivity(pids[0])
	look := func(more []int, want int) {
		t.Helper()
		if d, err := a.Look(more); err != nil || d.Threads != want {
			t.Errorf("%+v, %v; want %d threads", d, err, want)
		}
	}
	look(pids[1:], 2)
	look(nil, 2)
	a.procs[pids[1]].start-- // as if another one had had the number
	look(nil, 1)
	look(pids[1:], 2)
	a.procs[pids[0]].start--
	if d, err := a.Look(nil); err != nil || !d.Running || d.Threads != 1 {
		t.Errorf("the program is gone: %+v, %v", d, err)
	}
}
