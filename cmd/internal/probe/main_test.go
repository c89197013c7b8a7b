package probe

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// helperVar makes the test binary play the program that a test needs.
const helperVar = "PROBE_TEST_HELPER"

func TestMain(m *testing.M) {
	if words := strings.Fields(os.Getenv(helperVar)); len(words) > 0 {
		os.Exit(play(words[0], words[1:]))
	}
	// For TestHTTPAsksNoProxy: net/http reads the variable once.
	os.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	goleak.VerifyTestMain(m)
}

// play is the helper program.
func play(role string, args []string) int {
	switch role {
	case "exit": // exit STATUS after words on standard error
		fmt.Fprintln(os.Stderr, "first line\nthe last words")
		var status int
		fmt.Sscan(args[0], &status)
		return status
	case "listen": // listen NETWORK ADDRESS: print the address, live until standard input ends
		l, err := net.Listen(args[0], args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(l.Addr())
		os.Stdin.Read(make([]byte, 1))
		return 0
	case "inherit": // hold the sockets handed over until standard input ends
		fmt.Println("holding")
		os.Stdin.Read(make([]byte, 1))
		return 0
	case "exists": // exit 0 if the file is there
		if _, err := os.Stat(args[0]); err != nil {
			return 1
		}
		return 0
	case "hang": // hang with a child that holds our output
		child := exec.Command(os.Args[0])
		child.Env = []string{helperVar + "=sleep"}
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 1
		}
		// Whole or not at all, for somebody waits for it.
		if err := os.WriteFile(args[0]+".new", fmt.Appendln(nil, child.Process.Pid),
			0o600); err != nil {
			return 1
		}
		if err := os.Rename(args[0]+".new", args[0]); err != nil {
			return 1
		}
		if len(args) > 1 { // leave the child behind
			return 0
		}
		time.Sleep(time.Hour)
	case "sleep":
		time.Sleep(time.Hour)
	}
	return 2
}

// helper returns the command and environment that make the test binary play.
func helper(role ...string) ([]string, []string) {
	// Under the race detector a program sleeps for a second before it exits.
	return []string{os.Args[0]}, append(os.Environ(), "GORACE="+proctest.RaceSettings(),
		helperVar+"="+strings.Join(role, " "))
}

// run starts a helper, waits for its first line, and ends it with the test.
func run(t *testing.T, files []*os.File, role ...string) (pid int, line string) {
	t.Helper()
	argv, env := helper(role...)
	cmd := exec.Command(argv[0])
	cmd.Env, cmd.ExtraFiles = env, files
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("helper %v: %v", role, err)
		}
	})
	if _, err := fmt.Fscanln(stdout, &line); err != nil {
		t.Fatalf("helper %v: %v", role, err)
	}
	return cmd.Process.Pid, line
}

// within is a context that ends long after every test should be over.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// briefly is a context that lasts for a few attempts.
func briefly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantError(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Fatalf("error %v, want one with %q", err, words)
	}
}

// ask is the check of a kind with a target.
func ask(kind spec.ProbeKind, target string) Check {
	return Check{Probe: spec.Probe{Kind: kind, Target: target}}
}

func window(d time.Duration) Check {
	return Check{Probe: spec.Probe{Kind: spec.ProbeSettled, Settle: spec.Duration(d)}}
}
