//go:build linux

package proctree

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
)

func TestStop(t *testing.T) {
	tests := map[string]struct {
		script  string
		options StopOptions
		others  int    // processes found beside the main one
		left    int    // processes that live on, as they should
		says    string // a part of the main process's outcome
		last    string // the last signal that each of the others got
	}{
		"alone": {script: "echo $$; echo ready; exec sleep 1000", says: "sent SIGTERM to "},
		"children": {script: "sleep 1000 & sleep 1000 & echo $$; echo ready; wait", others: 2,
			last: "SIGTERM"},
		"to all": {script: "sleep 1000 & echo $$; echo ready; wait",
			options: StopOptions{Audience: ToAll}, others: 1},
		"no term": {script: `trap "" TERM; sleep 1000 & echo $$; echo ready; wait`,
			options: StopOptions{Steps: quick}, others: 1, says: "sent SIGTERM, then SIGKILL to "},
		"kill only": {script: "sleep 1000 & echo $$; echo ready; wait",
			options: StopOptions{Steps: []SignalStep{}}, others: 1, says: "sent SIGKILL to "},
		"left over": {script: `echo $$; (trap "" TERM; echo ready; exec sleep 1000) & wait`,
			options: StopOptions{Steps: quick}, others: 1, last: "SIGKILL"},
		"two forks": {script: daemon("sleep 1000 & echo ready; wait"), others: 1},
		"orphan": {script: daemon("(sleep 1000 & exec true); sleep 1000 & echo ready; wait"),
			others: 2},
		"setsid": {script: daemon("setsid sleep 1000 & echo ready; wait"), others: 1},
		"deep": {
			script: daemon(
				"setsid sh -c 'sh -c \"setsid sleep 1000 & echo ready; wait\"; true' & wait",
			),
			others: 3,
		},
		"stopped": {
			script: "sh -c 'kill -STOP $$; sleep 999' & echo $!; until grep -q 'State:.T' " +
				"/proc/$!/status; do :; done; echo ready",
			others: 0, says: "sent SIGTERM to ",
		},
		"main only": {script: "echo $$; echo ready; exec sleep 1000",
			options: StopOptions{Options: Options{Scope: ScopeMain}}},
		"main, kill": {script: "sleep 1000 & echo $$; echo ready; trap '' TERM; wait",
			options: StopOptions{Options: Options{Scope: ScopeMain}, Steps: quick}, left: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			main, mark := start(t, test.script)
			if test.options.Steps == nil {
				test.options.Steps = patient
			}
			test.options.KillWait = patience
			result, err := Stop(t.Context(), main, test.options)
			if err != nil {
				t.Fatal(err)
			}
			if pids := marked(mark); len(pids) != test.left {
				t.Errorf("left: %v", pids)
			}
			if !result.Main.Ended || result.Main.PID != main.PID {
				t.Errorf("main: %+v", result.Main)
			}
			if len(result.Others) != test.others {
				t.Errorf("%d others, want %d: %s", len(result.Others), test.others, result)
			}
			if text := result.Main.String(); !strings.Contains(text, test.says) {
				t.Errorf("says %q, want %q", text, test.says)
			}
			for _, o := range result.Others {
				if test.last != "" &&
					(len(o.Signals) == 0 || o.Signals[len(o.Signals)-1] != test.last) {
					t.Errorf("%v: the last should be %s", o, test.last)
				}
			}
		})
	}
}

// members are the processes that belong to root now.
func members(root *sys.Process, o Options) ([]*member, error) {
	t, err := newTree(root, o)
	if err != nil {
		return nil, err
	}
	if err := t.scan(); err != nil {
		return nil, err
	}
	return t.sorted(), nil
}

// The one escape that nothing links to the daemon is closed by a subreaper,
// which the test process is.
func TestAdopted(t *testing.T) {
	script := daemon("setsid -f sleep 1000; sleep 1000 & echo ready; wait")
	main, mark := start(t, script)
	eventually(t, "setsid has run", func() bool {
		all := marked(mark)
		return len(all) == 3 && slices.ContainsFunc(all, func(pid int) bool {
			st, err := sys.ReadStat(pid)
			return err == nil && st.Session == pid && st.PPID == os.Getpid()
		})
	})
	var asked []Process
	belongs := func(p Process) bool {
		asked = append(asked, p)
		return slices.Contains(marked(mark), p.PID)
	}
	found, err := members(main, Options{})
	if err != nil || len(found) != 2 {
		t.Errorf("without: %v, %v", found, err)
	}
	result, err := Stop(t.Context(), main,
		StopOptions{Steps: patient, KillWait: patience, Options: Options{Adopted: belongs}})
	if err != nil || len(marked(mark)) > 0 {
		t.Errorf("%v, %v left", err, marked(mark))
	}
	if len(result.Others) != 2 {
		t.Errorf("others: %s", result)
	}
	for _, p := range asked {
		if p.PID == main.PID {
			t.Errorf("asked about the main process")
		}
	}
}

// A process that makes sessions faster than it can be killed: SIGTERM does
// nothing to it, and each child is out of its session at once.
func TestForkFasterThanKill(t *testing.T) {
	script := daemon(`trap "" TERM; echo ready; i=0; while [ $i -lt 300 ]; do setsid sh -c "sleep 1000 & wait" & i=$((i+1)); done; wait`)
	main, mark := start(t, script)
	eventually(t, "it forks", func() bool { return len(marked(mark)) > 10 })
	// That nothing runs when the first is killed is what keeps the others from
	// getting away: each is of a session of its own, which only its parent links to us.
	first := true
	frozen := func(e Event) {
		if !first {
			return
		}
		first = false
		for _, pid := range marked(mark) {
			if st, err := sys.ReadStat(pid); err == nil && pid != e.Process.PID &&
				st.State != 'T' && st.State != 'D' {
				t.Errorf("process %d is in state %c when the killing begins", pid, st.State)
			}
		}
	}
	result, err := Stop(t.Context(), main,
		StopOptions{Steps: []SignalStep{}, KillWait: patience, Progress: frozen})
	if err != nil {
		t.Fatal(err)
	}
	if pids := marked(mark); len(pids) > 0 {
		t.Errorf("%d left of %d: %v", len(pids), len(result.Others), pids)
	}
}

// Others in the session of whoever started the daemon are strangers.
func TestStrangers(t *testing.T) {
	tests := map[string]string{
		// The leader lives: the session is a shell's, and the daemon its job.
		"job of a shell": `sleep 1000 & sh -c "sleep 1000 & wait" & echo $!; echo ready; wait`,
		// The leader is gone, but somebody older than the daemon is there.
		"job of a shell that " +
			"ended": `sleep 1000 & sleep 0.05; sh -c "sleep 1000 & wait" & echo $!; echo ready`,
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			main, mark := start(t, script)
			before := len(marked(mark))
			result, err := Stop(t.Context(), main, StopOptions{Steps: patient, KillWait: patience})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Others) != 1 {
				t.Errorf("others: %s", result)
			}
			if left := len(marked(mark)); left != before-2 && left != before-3 {
				t.Errorf("%d of %d left", left, before)
			}
			if !slices.ContainsFunc(marked(mark),
				func(pid int) bool { st, _ := sys.ReadStat(pid); return st.Comm == "sleep" }) {
				t.Errorf("the stranger was hit")
			}
		})
	}
}

// The command that stops the daemon may run inside of it.
func TestFromInside(t *testing.T) {
	for name, via := range map[string]string{
		"child":      `PROCTREE_HELPER=stop PROCTREE_MAIN=$$ $TESTBIN >"$OUT"; true`,
		"grandchild": `sh -c "PROCTREE_HELPER=stop PROCTREE_MAIN=$$ $TESTBIN >$OUT; true"; true`,
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			script := `export OUT=` + out +
				`; trap "" TERM; sleep 999 & echo $$; echo ready; ` + via
			_, mark := start(t, script)
			var text []byte
			eventually(t, "the command has ended", func() bool {
				text, _ = os.ReadFile(out)
				return bytes.Contains(text, []byte("}\n"))
			})
			var result Result
			err := json.Unmarshal(bytes.SplitAfter(text, []byte("}\n"))[0], &result)
			if err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			if !result.Main.Ended || len(result.Spared) == 0 || len(result.Left) > 0 {
				t.Errorf("%s", text)
			}
			eventually(t, "the command's own shells have ended",
				func() bool { return len(marked(mark)) == 0 })
		})
	}
}

func TestRefused(t *testing.T) {
	for _, pid := range []int{1, os.Getpid()} {
		p, err := sys.Pin(pid)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := Stop(t.Context(), p, StopOptions{}); !errors.Is(err, ErrRefused) {
			t.Errorf("stop %d: %v", pid, err)
		}
	}
	main, _ := start(t, "echo $$; echo ready; exec sleep 1000")
	if err := main.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := main.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is reaped",
		func() bool { _, err := sys.ReadStat(main.PID); return err != nil })
	if _, err := Stop(t.Context(), main, StopOptions{}); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("stop of an ended process: %v", err)
	}
}

// A member whose number has passed to another process is not signalled.
func TestNumberPassedOn(t *testing.T) {
	main, mark := start(t, "sleep 1000 & echo $$; echo ready; wait")
	tr, err := newTree(main, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.scan(); err != nil {
		t.Fatal(err)
	}
	s := &stopper{tree: tr, main: main, begin: time.Now()}
	child := tr.sorted()[1]
	child.Start--
	if err := s.send(child, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := s.send(tr.sorted()[0], syscall.Signal(0)); err != nil {
		t.Error(err)
	}
	if len(child.done.signals) > 0 || len(marked(mark)) != 2 {
		t.Errorf("signalled: %v, %v left", child.done.signals, marked(mark))
	}
}

func TestNoKill(t *testing.T) {
	main, mark := start(t, `trap "" TERM; sleep 1000 & echo $$; echo ready; wait; wait`)
	var events []string
	o := StopOptions{Steps: quick, NoKill: true, Progress: func(e Event) {
		events = append(events, fmt.Sprint(e.Kind, e.Process.Name, e.Signal))
	}}
	result, err := Stop(t.Context(), main, o)
	if !errors.Is(err, ErrStillRunning) || len(result.Left) != 2 || len(marked(mark)) != 2 {
		t.Errorf("%v: %s", err, result)
	}
	if len(events) != 1 {
		t.Errorf("events: %q", events)
	}
}

func TestCancel(t *testing.T) {
	main, mark := start(t, `trap "" TERM; sleep 1000 & echo $$; echo ready; wait; wait`)
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	o := StopOptions{Progress: func(Event) { cancel(why) }}
	result, err := Stop(ctx, main, o)
	if !errors.Is(err, why) || len(marked(mark)) != 2 || len(result.Left) != 2 {
		t.Errorf("%v: %s", err, result)
	}
}

// A control group is read from its directory alone, so a directory will do.
func TestCgroup(t *testing.T) {
	main, mark := start(t, "echo $$; echo ready; exec sleep 1000")
	other, otherMark := start(t, "echo $$; echo ready; exec sleep 1000")
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/below", 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("cgroup.procs", fmt.Sprintf("0\n%d\n", main.PID))
	write("below/cgroup.procs", fmt.Sprintf("%d\n", other.PID))
	if found, err := members(other, Options{Cgroup: dir + "/none"}); err == nil {
		t.Errorf("a group that is not there was believed: %v", found)
	}
	result, err := Stop(t.Context(), main,
		StopOptions{Steps: patient, KillWait: patience, Options: Options{Cgroup: dir}})
	if err != nil || len(marked(mark))+len(marked(otherMark)) > 0 {
		t.Errorf("%v: %s", err, result)
	}
}

// An ordinary user who may not signal is told so, and nothing is claimed.
func TestNotPermitted(t *testing.T) {
	if os.Getuid() != 0 {
		testNotPermitted(t, 1)
		return
	}
	main, mark := start(t, "echo $$; echo ready; exec sleep 1000")
	testNotPermitted(t, main.PID)
	if len(marked(mark)) != 1 {
		t.Error("it was ended")
	}
}

func testNotPermitted(t *testing.T, pid int) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"PROCTREE_HELPER=stop", "PROCTREE_MAIN=" + strconv.Itoa(pid)}
	cmd.Dir = "/"
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
		}
	}
	out, err := cmd.CombinedOutput()
	if err == nil ||
		!bytes.Contains(out, []byte("not permitted")) && !bytes.Contains(out, []byte("refused")) {
		t.Errorf("%v: %s", err, out)
	}
}
