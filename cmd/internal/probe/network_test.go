package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/spec"
)

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// closedPort returns an address of loopback where nobody listens.
func closedPort(t *testing.T) string {
	l := listen(t, "tcp", "127.0.0.1:0")
	l.Close()
	return l.Addr().String()
}

func TestTCP(t *testing.T) {
	addr := closedPort(t)
	c := ask(spec.ProbeTCP, addr)
	err := Once(within(t), c, Env{})
	if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "connection refused" {
		t.Fatalf("nobody listens: %v", err)
	}
	// The service comes up while somebody waits.
	ready := make(chan error, 1)
	go func() { ready <- Wait(within(t), c, Env{}) }()
	listen(t, "tcp", addr)
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
}

func TestConnectionToItself(t *testing.T) {
	self, err := net.ResolveTCPAddr("tcp", closedPort(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTCP("tcp", self, self)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := tcpStranger(conn, false, Env{}); err != syscall.ECONNREFUSED {
		t.Error(err)
	}
}

func TestTimeoutNamesTheLastReason(t *testing.T) {
	addr := closedPort(t)
	err := Wait(briefly(t), ask(spec.ProbeTCP, addr), Env{})
	if want := "tcp:" + addr + ": not ready: connection refused"; err == nil ||
		err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("the cause is not in the error")
	}
}

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	c := ask(spec.ProbeUnix, "socket")
	env := Env{Dir: filepath.Dir(path)}
	if err := Once(within(t), c, env); !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("no socket: %v", err)
	}
	l := listen(t, "unix", path)
	if err := Wait(within(t), c, env); err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if err := Once(within(t), c, env); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("the socket of a dead process: %v", err)
	}
}

func TestUnixOfAnyType(t *testing.T) {
	for _, network := range []string{"unixgram", "unixpacket"} {
		path := filepath.Join(t.TempDir(), "socket")
		var closer io.Closer
		var err error
		if network == "unixgram" {
			closer, err = net.ListenPacket(network, path)
		} else {
			closer, err = net.Listen(network, path)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer closer.Close()
		owner := func(pid int) bool { return pid == os.Getpid() }
		if err := Once(within(t), ask(spec.ProbeUnix, path), Env{Owner: owner}); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestAbstractUnix(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("abstract sockets are Linux's")
	}
	name := fmt.Sprintf("@probe-test-%d", os.Getpid())
	listen(t, "unix", name)
	if err := Once(within(t), ask(spec.ProbeUnix, name), Env{Dir: "/nowhere"}); err != nil {
		t.Fatal(err)
	}
}

func TestHTTP(t *testing.T) {
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/503", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("/304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		for chunk := make([]byte, 64<<10); r.Context().Err() == nil; {
			w.Write(chunk)
		}
	})
	mux.Handle("/here", http.RedirectHandler("/204", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("http://elsewhere.invalid/", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewServer(mux)
	defer server.Close()

	if err := Wait(within(t), ask(spec.ProbeHTTP, server.URL+"/late"), Env{}); err != nil {
		t.Errorf("503 three times, then 200: %v", err)
	}
	for path, want := range map[string]string{
		"/204": "", "/huge": "", "/here": "",
		"/503": "http 503", "/304": "http 304", "/none": "http 404",
		"/away":  "redirected to another host, elsewhere.invalid",
		"/round": "more than 5 redirects",
		"/slow":  "no answer within 200ms",
	} {
		var env Env
		if path == "/slow" {
			env.Attempt = 200 * time.Millisecond
		}
		err := Once(within(t), ask(spec.ProbeHTTP, server.URL+path), env)
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	err := Once(within(t), ask(spec.ProbeHTTP, "http://"+closedPort(t)), Env{})
	if fmt.Sprint(err) != "connection refused" {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestMain names a proxy that does not answer. For 127.0.0.1 and "localhost"
// net/http never asks one; 0.0.0.0 is the same machine, which it does not know.
func TestHTTPAsksNoProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	if err := Once(within(t), ask(spec.ProbeHTTP, "http://0.0.0.0:"+port), Env{}); err != nil {
		t.Error(err)
	}
}

func TestHTTPWithoutAnAnswer(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	go func() {
		if conn, err := l.Accept(); err == nil {
			io.ReadFull(conn, make([]byte, 4))
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	wantError(t, Once(within(t), ask(spec.ProbeHTTP, "http://"+l.Addr().String()), Env{}),
		"hung up without an answer")
}

func TestHTTPS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	if err := Once(within(t), ask(spec.ProbeHTTP, server.URL), Env{}); err != nil {
		t.Errorf("self-signed on loopback: %v", err)
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	addr := closedPort(t)
	err := Wait(briefly(t), ask(spec.ProbeHTTP, "http://user:secret@"+addr), Env{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Fatal(err)
	}
}
