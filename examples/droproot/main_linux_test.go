package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

var droproot = proctest.Register("droproot", func([]string) int { main(); return 0 })

// lowPort is a port for root alone that nobody has.
func lowPort(t *testing.T) string {
	t.Helper()
	for port := 1023; port > 900; port-- {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			return addr
		}
		if errors.Is(err, syscall.EACCES) {
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestServesAsAnotherUser(t *testing.T) {
	proctest.CheckLeaks(t)
	addr := lowPort(t)
	out, err := droproot.Command(t, "-d", "-addr", addr, "-user", "65534:65534").CombinedOutput()
	if os.Geteuid() != 0 {
		if err == nil || !strings.Contains(string(out), "permission denied") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	pid, numErr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || numErr != nil {
		t.Fatalf("%v: %s", err, out)
	}
	proctest.KillAtEnd(t, pid)
	mustServeAsNobody(t, addr, pid)
}

// TestStaysAsAnotherUser: so it does in the foreground, where a manager started it.
func TestStaysAsAnotherUser(t *testing.T) {
	proctest.CheckLeaks(t)
	addr := lowPort(t)
	cmd := droproot.Command(t, "-addr", addr, "-user", "65534:65534")
	if os.Geteuid() != 0 {
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("not refused: %s", out)
		}
		return
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	proctest.Eventually(t, time.Minute, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	mustServeAsNobody(t, addr, cmd.Process.Pid)
}

func mustServeAsNobody(t *testing.T, addr string, pid int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if answer, err := io.ReadAll(conn); string(answer) != "served by user 65534\n" || err != nil {
		t.Errorf("answer %q, %v", answer, err)
	}
	state := proctest.Inspect(t, pid)
	if want := [4]int{65534, 65534, 65534, 65534}; state.UIDs != want || state.GIDs != want ||
		len(state.Groups) > 0 {
		t.Errorf("users %v, groups %v %v", state.UIDs, state.GIDs, state.Groups)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"-d"}, {"-d", "-user", "root"}} {
		if out, err := droproot.Command(t, args...).CombinedOutput(); err == nil {
			t.Errorf("%q: %s", args, out)
		}
	}
}
