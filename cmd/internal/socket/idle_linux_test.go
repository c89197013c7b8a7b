package socket

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func TestConnections(t *testing.T) {
	dir := shortDir(t)
	for _, c := range []struct{ listen, dial string }{
		{"tcp:127.0.0.1:0", "127.0.0.1"},
		{"tcp:[::1]:0", "::1"},
		{"tcp::0", "127.0.0.1"},
		{"tcp::0", "::1"},
		{"unix:" + dir + "/a b", ""},
		{"unixpacket:" + dir + "/packet", ""},
		{fmt.Sprintf("unix:@count%d", os.Getpid()), ""},
	} {
		s := zeroPort(t, c.listen)
		opened := mustOpen(t, s)
		network, addr := string(s.Listen.Network), s.Listen.Addr
		if c.dial != "" {
			addrPort, err := local(opened.FD)
			if err != nil {
				t.Fatal(err)
			}
			addr = net.JoinHostPort(c.dial, fmt.Sprint(addrPort.Port()))
		}
		count := func(what string, want int) {
			t.Helper()
			got := -1
			end := time.Now().Add(10 * time.Second)
			for ; got != want && time.Now().Before(end); time.Sleep(time.Millisecond) {
				var err error
				if got, err = Connections([]spec.Socket{s}, []int{opened.FD}); err != nil {
					t.Fatal(err)
				}
			}
			if got != want {
				t.Errorf("%s: %s: %d connections, want %d", c.listen, what, got, want)
			}
		}
		count("at first", 0)
		one, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		two, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		count("in the queue", 2)
		dup, err := sys.DupAbove(opened.FD, 3)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(dup), "listener")
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		conn, err := l.Accept() // the first comes first
		if err != nil {
			t.Fatal(err)
		}
		count("one accepted", 2)
		one.Close()
		conn.Close()
		count("one has gone", 1)
		two.Close()
		l.Close()
	}
	if _, err := Connections([]spec.Socket{at(t, "udp:127.0.0.1:1")}, []int{0}); err == nil {
		t.Error("counted what has no connections")
	}
}
