package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
	slowinit "github.com/daemonry/daemonry/internal/proctest/slow"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/upgrade"
)

// hurried replaces itself, with a second for that, by what is wrong in some way, and prints what
// came of it.
var hurried = proctest.Register("hurried", func(args []string) int {
	if spawn.Inherited() != nil {
		return hurriedSuccessor(args)
	}
	o := upgrade.Options{Timeout: time.Second, KillGrace: -1, NoSignal: true}
	switch args[0] {
	case "negative":
		o.Timeout = -time.Second
	case "long", "too much":
		o.Timeout = time.Minute
	case "successor":
		o.Env = append(os.Environ(), slowinit.Variable+"=waits a moment")
	case "deaf":
		o.Env = append(os.Environ(), slowinit.Variable+"=deaf 1h")
		o.KillGrace = time.Second
	}
	u, err := upgrade.New(o)
	if err == nil {
		err = u.Ready()
	}
	switch args[0] {
	case "stage":
		os.Setenv(slowinit.Variable, "waits a moment")
	case "closed":
		os.Stdin.Close()
	}
	if err == nil {
		err = u.Upgrade(context.Background())
	}
	text := fmt.Sprint(err)
	fmt.Println(text[:min(200, len(text))])
	fmt.Println(len(text), text[max(0, len(text)-30):])
	return 0
})

func hurriedSuccessor(args []string) int {
	switch args[0] {
	case "long":
		daemonry.Fail(errors.New("first words " + strings.Repeat("ä", 40<<20)))
	case "too much":
		files, _ := filepath.Glob("/proc/self/fd/*")
		for _, f := range files {
			if to, _ := os.Readlink(f); !strings.HasPrefix(to, "socket:") {
				continue
			}
			if fd, err := strconv.Atoi(filepath.Base(f)); err == nil {
				much := append([]byte{'m', 255, 255, 255, 255}, make([]byte, 4<<20)...)
				_, _ = syscall.Write(fd, much)
			}
		}
	case "undead":
		_, _ = os.Stat(args[1])
	}
	time.Sleep(time.Hour)
	return 0
}

// TestUpgradeIsBounded: whatever the successor does or leaves undone.
func TestUpgradeIsBounded(t *testing.T) {
	program := hurried.Path(t)
	to := "upgrade to " + program + ": "
	const still = "start stage: the stage is still at the initialisation of the program's packages"
	const silent = " called neither upgrade.New nor Ready within 1s"
	for how, want := range map[string][2]string{
		"negative":  {"upgrade: Options.Timeout is negative: -1s\n"},
		"stage":     {to + still + ": not ready within 1s; it has printed: ", "a moment\n"},
		"successor": {to + "process ", silent + "\na moment\n"},
		"deaf":      {to + "process ", silent + "\n"},
		"long":      {to + "the new program: first words ää", "… (cut, 83820556 bytes more)\n"},
		"too much": {
			to + "hear the new program: a message of 4294967295 bytes, more than 67108864\n",
		},
		"closed": {to + "start stage: standard input is closed\n"},
		"undead": {to + "process ", "was killed 10s ago and is not gone)\n"},
	} {
		t.Run(how, func(t *testing.T) {
			proctest.CheckLeaks(t)
			args := []string{how}
			if how == "undead" {
				if os.Getuid() != 0 {
					return // nobody else may have a file system that does not answer
				}
				args = append(args, proctest.HungFS(t, proctest.Deaf)+"/x")
			}
			begin := time.Now()
			cmd := hurried.Command(t, args...)
			output := filepath.Join(t.TempDir(), "output") // not a pipe, which has to end
			f, err := os.Create(output)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.Stdout, cmd.Stderr = f, f
			err = cmd.Run()
			out, _ := os.ReadFile(output)
			if err != nil || !strings.HasPrefix(string(out), want[0]) &&
				!strings.Contains(string(out), "\n"+want[0]) ||
				!strings.Contains(string(out), want[1]) {
				t.Errorf("%v: %s\nnot %q", err, out, want)
			}
			if took := time.Since(begin); took > 45*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
