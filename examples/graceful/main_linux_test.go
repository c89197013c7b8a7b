package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

var graceful = proctest.Register("graceful", func([]string) int { main(); return 0 })

// TestReplaced: the file is replaced and the process told, three times, while a client asks without
// a break. Every request is answered, by four processes.
func TestReplaced(t *testing.T) {
	proctest.CheckLeaks(t)
	program := filepath.Join(t.TempDir(), "proctest-graceful")
	install(t, program)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(program, "-addr", addr)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	proctest.KillAtEnd(t, cmd.Process.Pid)
	var pid int
	proctest.Eventually(t, time.Minute, func() (err error) {
		pid, err = ask(addr)
		return err
	})

	var stop atomic.Bool
	var client sync.WaitGroup
	client.Go(func() {
		for !stop.Load() {
			if _, err := ask(addr); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 3 {
		old := pid
		install(t, program)
		if err := syscall.Kill(old, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		proctest.Eventually(t, time.Minute, func() (err error) {
			if pid, err = ask(addr); err == nil && pid == old {
				err = errors.New("the old one answers")
			}
			return err
		})
		proctest.KillAtEnd(t, pid)
		if old == cmd.Process.Pid {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
		proctest.Gone(t, old)
	}
	stop.Store(true)
	client.Wait()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	proctest.Gone(t, pid)
}

func ask(addr string) (pid int, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	r, err := client.Get("http://" + addr)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(string(b), "version 1, process %d", &pid)
	return pid, err
}

// install puts a new file in the program's place.
func install(t *testing.T, program string) {
	t.Helper()
	b, err := os.ReadFile(graceful.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program+".new", b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
}
