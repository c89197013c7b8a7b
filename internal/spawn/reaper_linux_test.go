package spawn

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// reaper launches like launcherProgram, while it reaps all its children itself.
var reaper = proctest.Register("reaper", func(args []string) int {
	go func() {
		for {
			if _, err := syscall.Wait4(-1, nil, 0, nil); err == syscall.ECHILD {
				<-time.After(time.Millisecond)
			}
		}
	}()
	script := map[string]string{
		"release": "exec sleep 1000", "exit": "exit 7", "lost": "exec sleep 1000", "none": "",
	}[args[0]]
	s := shell(script)
	if args[0] == "none" {
		s.Path = "/no/such/program"
	}
	l, err := Detach(context.Background(), s)
	if err != nil {
		fmt.Println("failed:", err)
		return 0
	}
	fmt.Println(l.PID)
	switch args[0] {
	case "release":
		err = l.Release()
	case "lost":
		err = syscall.Kill(l.watcher, syscall.SIGKILL)
	}
	if err != nil {
		fmt.Println(err)
	}
	for e := range l.Events {
		fmt.Println(e.Exit, e.Lost)
	}
	return 0
})

// TestParentThatReapsEverything must not make us lose a word, or a daemon.
func TestParentThatReapsEverything(t *testing.T) {
	for arg, want := range map[string]string{
		"release": "",
		"exit":    "exited with status 7 <nil>\n",
		"lost":    "<nil> start stage: it ended without a word\n",
		"none":    "failed: execute /no/such/program: no such file or directory\n",
	} {
		t.Run(arg, func(t *testing.T) {
			proctest.CheckLeaks(t)
			out, err := reaper.Command(t, arg).Output()
			if err != nil {
				t.Fatal(err)
			}
			first, rest, _ := strings.Cut(string(out), "\n")
			pid, numErr := strconv.Atoi(first)
			if arg == "none" {
				rest = string(out)
			} else if numErr != nil {
				t.Fatal(numErr)
			}
			if arg == "lost" {
				// Either of the two may be the one who reaps the watcher.
				rest = strings.Replace(rest, "killed by SIGKILL", "it ended without a word", 1)
			}
			if rest != want {
				t.Errorf("got %q, want %q", rest, want)
			}
			if alive := proctest.Alive(pid); alive != (arg == "release") {
				t.Errorf("process %d alive: %v", pid, alive)
			} else if alive {
				proctest.KillAtEnd(t, pid)
			}
		})
	}
}
