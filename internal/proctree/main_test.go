//go:build linux

package proctree

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

// TestMain makes the test process the subreaper of all it starts: what a test
// leaves behind is then its child, can be found, and can be reaped.
func TestMain(m *testing.M) {
	if mode := os.Getenv("PROCTREE_HELPER"); mode != "" {
		os.Exit(helper(mode))
	}
	if err := sys.BecomeSubreaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// helper stops the process in PROCTREE_MAIN and prints the result as JSON.
func helper(string) int {
	pid, _ := strconv.Atoi(os.Getenv("PROCTREE_MAIN"))
	root, err := sys.Pin(pid)
	if err != nil {
		fmt.Println(err)
		return 3
	}
	result, err := Stop(context.Background(), root, StopOptions{Steps: quick, KillWait: patience})
	text, _ := json.Marshal(result)
	fmt.Println(string(text))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// patience is how long anything may take before it is called broken; on a bad machine much that is
// sound takes seconds.
const patience = time.Minute

// quick gives a process that ignores SIGTERM little time. One that does not is given patient, or a
// slow machine would make a difference.
var (
	quick   = []SignalStep{{syscall.SIGTERM, 300 * time.Millisecond}}
	patient = []SignalStep{{syscall.SIGTERM, patience}}
)

// start runs a shell script as leader of a new session. The script prints the
// pid of the main process, then "ready" when it has started everything. All that it starts bears
// a mark in its environment; at the end of the test none of it may be left.
//
// When start returns, every "sleep 1000" of the script is one. Before, it is a copy of the shell,
// with the traps and the session of that, and on its way from one to the other it has no
// environment. Nobody waits for a "sleep 999".
func start(t *testing.T, script string) (main *sys.Process, mark string) {
	t.Helper()
	mark = "PROCTREE_TEST=" + t.Name() + strconv.FormatInt(time.Now().UnixNano(), 36)
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), mark, "TESTBIN="+os.Args[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cleanUp(t, mark) })

	pid := 0
	for lines := bufio.NewScanner(read); lines.Scan() && lines.Text() != "ready"; {
		if pid, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("script printed %q", lines.Text())
		}
	}
	if main, err = sys.Pin(pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { main.Close() })
	if strings.HasSuffix(script, daemonEnd) {
		<-ended // until it is reaped the session has a leader
	}
	eventually(t, "all sleep",
		func() bool { return sleeping(mark) >= strings.Count(script, "sleep 1000") })
	return main, mark
}

// sleeping counts the processes with the mark that execute sleep(1).
func sleeping(mark string) int {
	n := 0
	for _, pid := range marked(mark) {
		if st, err := sys.ReadStat(pid); err == nil && st.Comm == "sleep" {
			n++
		}
	}
	return n
}

// marked lists the living processes with the mark.
func marked(mark string) []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		environ, _ := os.ReadFile(dir + "/environ") // empty for a zombie
		if slices.ContainsFunc(bytes.Split(environ, []byte{0}),
			func(v []byte) bool { return string(v) == mark }) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

// cleanUp ends what a failed test left, and reaps the adopted.
func cleanUp(t *testing.T, mark string) {
	for end := time.Now().Add(patience); len(marked(mark)) > 0 && time.Now().Before(end); {
		for _, pid := range marked(mark) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
	var list sys.ProcList
	stats, err := list.Read()
	if err != nil {
		t.Error(err)
	}
	for _, st := range stats {
		if st.PPID == os.Getpid() && st.Exited() {
			syscall.Wait4(st.PID, nil, syscall.WNOHANG, nil)
		}
	}
}

// eventually polls until ok or our patience is at its end.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// daemon wraps a script into the second fork: the session leader starts it,
// prints its pid and ends.
func daemon(script string) string {
	return "sh -c '" + strings.ReplaceAll(script, "'", `'\''`) + daemonEnd
}

const daemonEnd = "' & echo $!"
