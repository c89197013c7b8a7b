//go:build linux

package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
)

// rawGet leaves reading the answer to the caller.
func rawGet(ctx context.Context, socket, path string) (*http.Response, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", "http://x"+path, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

// curl sends a request and prints status and body: what a stranger sees.
var curl = proctest.Register("curl", func(args []string) int {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", args[0])
		},
	}}
	resp, err := client.Post("http://x"+args[1], "application/json", strings.NewReader(args[2]))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return 1
	}
	return 0
})

// As root the stranger is nobody, who is let through to the socket on purpose;
// as nobody there is no one else to be, and the owner is another by decree.
func TestStranger(t *testing.T) {
	stranger := func(t *testing.T, owner int, group *int, want string) {
		var socket string
		f := serveFake(t,
			func(a *api, s *http.Server) { s.Handler = newHandler(a, peerGate(owner, group)) })
		socket = f.socket
		if err := errors.Join(os.Chmod(filepath.Dir(socket), 0o755),
			os.Chmod(socket, 0o666)); err != nil {
			t.Fatal(err)
		}
		cmd := curl.Command(t, socket, "/v1/services/stop", `{"all": true}`)
		cmd.Env = append(os.Environ(), "GORACE="+proctest.RaceSettings())
		asNobody(cmd)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		status, body, _ := strings.Cut(string(out), "\n")
		if status != want {
			t.Errorf("a stranger is answered %s %s, want %s", status, body, want)
		}
		if want == "200" {
			return
		}
		var e control.Error
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.Code != control.Forbidden ||
			!strings.Contains(e.Message, "user 65534 may not") {
			t.Errorf("answer: %s (%v)", body, err)
		}
		if calls := f.engine.called(); len(calls) != 0 {
			t.Errorf("the engine was asked: %q", calls)
		}
	}
	owner := os.Geteuid()
	if owner != 0 {
		owner++
	}
	t.Run("refused", func(t *testing.T) { stranger(t, owner, nil, "403") })
	t.Run("another group", func(t *testing.T) { stranger(t, owner, new(1), "403") })
	t.Run("in the group", func(t *testing.T) { stranger(t, owner, new(65534), "200") })
	t.Run("the owner", func(t *testing.T) { stranger(t, 65534, nil, "200") })
}

func TestAsNobody(t *testing.T) {
	proctest.RunAs(t, "nobody", func(t *testing.T) {
		t.Run("stranger", TestStranger)
		t.Run("life", TestLifeOfServices)
	})
}

// A request that stops in the middle is cut off, and others are served meanwhile.
func TestHalfRequests(t *testing.T) {
	f := serveFake(t, func(_ *api, s *http.Server) {
		s.ReadHeaderTimeout, s.ReadTimeout = time.Second, 2*time.Second // of everybody's requests
	})
	cut := map[string]net.Conn{}
	for name, part := range map[string]string{
		"nothing": "",
		"head":    "GET /v1/services HTTP/1.1\r\nHost: x\r\nX-Slow:",
		"body": "POST /v1/services/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" +
			"{\"names\": [",
	} {
		conn, err := net.Dial("unix", f.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, part); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Status(t.Context(), control.StatusRequest{}); err != nil {
			t.Errorf("%s: somebody else: %v", name, err)
		}
		cut[name] = conn
	}
	for name, conn := range cut {
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%s: the connection is not closed: %v", name, err)
		}
	}
	if calls := f.engine.called(); len(calls) != 0 {
		t.Errorf("half a request has done something: %q", calls)
	}
}

// endless is a body of one byte again and again.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestGigabyte(t *testing.T) {
	const size = 1 << 30
	f := serveFake(t, nil)
	for _, tt := range []struct {
		name string
		byte byte
		code control.Code
	}{
		{"zeros", 0, control.BadRequest},
		{"spaces", ' ', control.TooLarge}, // which are the beginning of JSON all the time
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("unix", f.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			fmt.Fprintf(conn, "POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
				size)
			go io.Copy(conn, io.LimitReader(endless(tt.byte), size))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			var e control.Error
			if err := json.NewDecoder(resp.Body).Decode(&e); err != nil ||
				e.Code != tt.code || !resp.Close {
				t.Errorf("answer: %s %+v %v", resp.Status, e, err)
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8*maxBody {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}

// A client that does not read its answer holds a connection for a while, and nobody up.
func TestClientThatDoesNotRead(t *testing.T) {
	f := serveFake(t, func(a *api, _ *http.Server) { a.writeTime = time.Second })
	big := control.Status{Name: "web", Text: strings.Repeat("x", 1<<20)}
	f.engine.statuses = []control.Status{big, big, big, big}
	conn, err := net.Dial("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/services HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := f.Supervisor(t.Context()); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	// Cut off: shutting down, which waits for every connection, comes to its end.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := f.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if n, err := io.Copy(io.Discard, conn); err != nil || n == 0 || n > 4<<20 {
		t.Errorf("%d bytes have come, %v", n, err)
	}
}

// TestSilentConnections: any number of connections on which nothing is said, or half a request,
// keeps nobody out. They had ten seconds each.
func TestSilentConnections(t *testing.T) {
	f := serveFake(t,
		func(_ *api, s *http.Server) { s.ReadHeaderTimeout, s.ReadTimeout = time.Hour, time.Hour })
	working, err := net.Dial("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer working.Close()
	ask := func() {
		t.Helper()
		fmt.Fprint(working, "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(working), nil)
		if err != nil {
			t.Fatalf("a connection that was let in: %v", err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	for i := range maxConns + 50 {
		silent, err := net.Dial("unix", f.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		if i%2 == 0 {
			fmt.Fprint(silent, "GET /v1/health HTTP/1.1\r\n")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := f.Supervisor(ctx); err != nil {
		t.Error(err)
	}
	ask()
}

func TestManyClients(t *testing.T) {
	f := serveFake(t, nil)
	f.engine.statuses = []control.Status{{Name: "web", State: control.Ready, PID: 1, Ready: true}}
	const clients, each = 2 * maxConns, 5
	var group sync.WaitGroup
	failed := make(chan error, clients)
	for range clients {
		group.Go(func() {
			c := &control.Client{Socket: f.socket}
			defer c.Close()
			for range each {
				list, err := c.Status(t.Context(), control.StatusRequest{Names: []string{"web"}})
				if err == nil && (len(list) != 1 || list[0].State != control.Ready) {
					err = fmt.Errorf("status: %+v", list)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// Who leaves ends the waiting; the context of the engine's request tells it.
func TestDisconnectEndsTheWait(t *testing.T) {
	f := serveFake(t, func(_ *api, s *http.Server) { s.ReadTimeout = time.Second })
	f.engine.block, f.engine.begun = make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- f.Start(ctx, control.Named("web")) }()
	<-f.engine.begun
	select {
	case err := <-result:
		t.Fatalf("the read time-out ends a request that waits: %v", err)
	case <-time.After(2 * time.Second): // more than the time-out above
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the client's own error: %v", err)
	}
	close(f.engine.block)
	if calls := f.engine.called(); len(calls) != 1 || calls[0] != "start web" {
		t.Errorf("calls: %q", calls)
	}
}

// Who asks for the end and leaves has asked, and holds nothing.
func TestLeavingAShutdown(t *testing.T) {
	asked := make(chan struct{})
	f := serveFake(t, func(a *api, _ *http.Server) {
		a.stop, a.stopped = func() { close(asked) }, make(chan struct{})
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- f.Client.Shutdown(ctx) }()
	<-asked
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	ended, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if err := f.server.Shutdown(ended); err != nil { // waits for the handler
		t.Error(err)
	}
}
