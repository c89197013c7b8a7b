//go:build linux

package notify

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// helperVariable makes the test binary one of the helper programs.
const helperVariable = "NOTIFY_TEST_HELPER"

func TestMain(m *testing.M) {
	helper := os.Getenv(helperVariable)
	if helper == "" {
		before := openFDs()
		code := m.Run()
		// the runtime's poller: epoll and eventfd
		if after := openFDs(); code == 0 && after > before+2 {
			fmt.Fprintf(os.Stderr, "%d descriptors left open, %d before\n", after, before)
			code = 1
		}
		os.Exit(code)
	}
	if err := helpers[helper](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var helpers = map[string]func() error{
	// ready says so and exits at once.
	"ready": func() error { return mustSend(Client{}.Ready()) },
	// set-user-id says ready with the ids of a set-user-id program.
	"set-user-id": func() error {
		if err := syscall.Setresgid(65534, 0, 0); err != nil {
			return err
		}
		if err := syscall.Setresuid(65534, 0, 0); err != nil {
			return err
		}
		return mustSend(Client{}.Ready())
	},
	// stdout says ready as s6's own daemons do, and then goes on printing.
	"stdout": func() error {
		pipe, err := OpenPipe(1)
		if err != nil {
			return err
		}
		if err := mustSend(Client{Pipe: pipe}.Ready()); err != nil {
			return err
		}
		if _, err := fmt.Println("after"); err != nil {
			return err
		}
		null, err := os.Stat(os.DevNull)
		if err != nil {
			return err
		}
		if out, err := os.Stdout.Stat(); err != nil || !os.SameFile(out, null) {
			return fmt.Errorf("standard output is not /dev/null: %v", err)
		}
		return nil
	},
	// pipe3 says ready on descriptor 3.
	"pipe3": func() error {
		pipe, err := OpenPipe(3)
		if err != nil {
			return err
		}
		return mustSend(Client{Pipe: pipe}.Ready())
	},
	// environment takes the address and shows what a child would inherit.
	"environment": func() error {
		c := Take()
		if value, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
			return fmt.Errorf("NOTIFY_SOCKET=%s is still there", value)
		}
		if sent, err := (Client{}).Ready(); sent || err != nil {
			return fmt.Errorf("the zero client still finds somebody: %v %v", sent, err)
		}
		return mustSend(c.Ready())
	},
}

func mustSend(sent bool, err error) error {
	if err == nil && !sent {
		err = fmt.Errorf("nobody asked")
	}
	return err
}

// command prepares a helper program whose environment has only env.
func command(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(env, helperVariable+"="+name)
	cmd.Stderr = new(strings.Builder)
	return cmd
}

// run runs a helper to its end and returns its pid.
func run(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Run(); err != nil {
		t.Fatalf("helper: %v: %s", err, cmd.Stderr)
	}
	return cmd.Process.Pid
}

func openFDs() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(names)
}
