package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

var webserver = proctest.Register("webserver", func([]string) int { main(); return 0 })

// freeAddress is one that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, addr, path string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	r, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestLife: start, serve, rotate the log, refuse a second one, stop.
func TestLife(t *testing.T) {
	proctest.CheckLeaks(t)
	dir, addr := t.TempDir(), freeAddress(t)
	pidFile, log := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	files := []string{"-pid", pidFile, "-log", log}
	out, err := webserver.Command(t,
		append([]string{"-d", "-addr", addr}, files...)...).CombinedOutput()
	pid, numErr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || numErr != nil {
		t.Fatalf("%v: %s", err, out)
	}
	proctest.KillAtEnd(t, pid)
	if got, want := get(t, addr, "/one"), fmt.Sprintf("hello from process %d\n", pid); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	report, err := check.Process(pid, check.Options{PIDFile: pidFile})
	if err != nil || report.Failed() {
		t.Errorf("%+v, %v", report, err)
	}
	if out, err := webserver.Command(t, append([]string{"-d", "-addr", addr}, files...)...).
		CombinedOutput(); err == nil || !strings.Contains(string(out), strconv.Itoa(pid)) {
		t.Errorf("a second one: %v, %s", err, out)
	}

	for _, word := range []string{"reload", "reopen"} {
		old := log + "." + word
		if err := os.Rename(log, old); err != nil {
			t.Fatal(err)
		}
		if out, err := webserver.Command(t, append([]string{"-s", word}, files...)...).
			CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", word, err, out)
		}
		// A signal is only sent, so requests may go to the old file for a moment.
		proctest.Eventually(t, time.Minute, func() error {
			get(t, addr, "/"+word)
			b, err := os.ReadFile(log)
			if err == nil && !strings.Contains(string(b), "GET /"+word) {
				err = fmt.Errorf("new log %q", b)
			}
			return err
		})
	}

	if out, err := webserver.Command(t, append([]string{"-s", "stop"}, files...)...).
		CombinedOutput(); err != nil {
		t.Errorf("stop: %v: %s", err, out)
	}
	if proctest.Alive(pid) {
		t.Error("it is alive after stop has returned")
	}
	if _, err := os.Stat(pidFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file: %v", err)
	}
	if out, err := webserver.Command(t, append([]string{"-s", "stop"}, files...)...).
		CombinedOutput(); err == nil {
		t.Errorf("stopped twice: %s", out)
	}
}

// TestPortTaken: the launcher hears why, from the daemon itself.
func TestPortTaken(t *testing.T) {
	proctest.CheckLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := webserver.Command(t, "-d", "-addr", l.Addr().String()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "bind: address already in use") {
		t.Errorf("%v: %s", err, out)
	}
}
