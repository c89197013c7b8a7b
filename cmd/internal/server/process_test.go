//go:build linux

package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/successor"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// whole is a supervisor as a process of its own.
var whole = proctest.Register("supervisor", func(args []string) int {
	if len(args) == 4 { // successor.Verb
		if err := successor.Check(os.Stdin, args[2], args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(successor.Answer("next"))
		return 0
	}
	p, err := paths.Find()
	var inherited *successor.Manifest
	if err == nil {
		inherited, err = successor.Found()
	}
	if err == nil {
		err = Serve(context.Background(), Options{
			Paths: p, Metrics: true, Inherited: inherited, Cgroup: os.Getenv("TEST_CGROUP"),
			Ready: func() error {
				if inherited != nil { // nobody reads any more
					return nil
				}
				_, err := fmt.Println("ready")
				return err
			},
		})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

// startWhole returns when it is ready, with a client for it.
func startWhole(t *testing.T, root string) (*exec.Cmd, *control.Client) {
	t.Helper()
	cmd := whole.Command(t)
	cmd.Env = append(os.Environ(), "DAEMONRY_ROOT="+root, "GORACE="+proctest.RaceSettings())
	return cmd, startCommand(t, root, cmd)
}

func startCommand(t *testing.T, root string, cmd *exec.Cmd) *control.Client {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	proctest.KillAtEnd(t, cmd.Process.Pid)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("it says %q (%v)", line, err)
	}
	c := &control.Client{Socket: rootPaths(t, root).Socket()}
	t.Cleanup(c.Close)
	return c
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			proctest.CheckLeaks(t)
			cmd, c := startWhole(t, shortDir(t))
			if _, err := c.Apply(t.Context(),
				control.ApplyRequest{Services: []spec.Service{sleeper("a")}}); err != nil {
				t.Fatal(err)
			}
			list, err := c.Status(t.Context(), control.StatusRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			// The kernel delivers signals in no order, so the answer shows that the first one did
			// no harm.
			if _, err := c.Supervisor(t.Context()); err != nil {
				t.Fatalf("after SIGHUP: %v", err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ends with %v", err)
			}
			if proctest.Alive(list[0].PID) {
				t.Error("the service survives an orderly end")
			}
		})
	}
}

// One that was killed leaves a socket behind, and its locks are free.
func TestAfterKill(t *testing.T) {
	proctest.CheckLeaks(t)
	root := shortDir(t)
	cmd, c := startWhole(t, root)
	first, err := c.Supervisor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) {
		t.Fatal(err)
	}
	if _, err := os.Lstat(c.Socket); err != nil {
		t.Errorf("the test needs a socket that is left behind: %v", err)
	}
	cmd, c = startWhole(t, root)
	second, err := c.Supervisor(t.Context())
	if err != nil || second.PID == first.PID || second.PID != cmd.Process.Pid {
		t.Errorf("the next one: %+v, %v", second, err)
	}
	if time.Since(second.Started) < 0 {
		t.Errorf("started at %v", second.Started)
	}
	if err := c.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
