package main

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

var service = proctest.Register("service", func([]string) int { main(); return 0 })

// TestServe: it serves when it says READY=1, and ends in good order. That it is
// installed, and back after a reboot, is tested on a machine that reboots.
func TestServe(t *testing.T) {
	proctest.CheckLeaks(t)
	dir, err := os.MkdirTemp("/tmp", "s") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cmd := service.Command(t, "-addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), append(cmd.Env, "NOTIFY_SOCKET="+socket)...)
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	message := make([]byte, 4096)
	if n, err := conn.Read(message); err != nil ||
		!strings.Contains(string(message[:n]), "READY=1") {
		t.Fatalf("%q, %v", message[:n], err)
	}
	line, err := bufio.NewReader(words).ReadString('\n')
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if err != nil || addr == "" {
		t.Fatalf("%q, %v", line, err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	r, err := client.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestStatus: where it is not installed, or cannot be, the exit status says so.
func TestStatus(t *testing.T) {
	proctest.CheckLeaks(t)
	cmd := service.Command(t, "status")
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != 3 && status != 4 {
		t.Errorf("status %d (%v): %s", status, err, out)
	}
}

// TestNoVerb: a verb that there is not, such as a misspelt one, does not serve.
func TestNoVerb(t *testing.T) {
	out, err := service.Command(t, "-addr", "127.0.0.1:0", "instal").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `no verb "instal"`) {
		t.Errorf("%v: %s", err, out)
	}
}
