package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// TestLogsAskOnce: for a hundred services as for one, and not for each. What it asks besides is
// whether anybody answers.
func TestLogsAskOnce(t *testing.T) {
	root, err := os.MkdirTemp("/tmp", "dmn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	t.Setenv("DAEMONRY_ROOT", root)
	if err := os.Mkdir(filepath.Join(root, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "run", "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var services []control.Status
	for i := range 100 {
		s := spec.Service{Name: fmt.Sprint("s", i), Command: spec.Command{"x"}}
		services = append(services, control.Status{Name: s.Name, Spec: &s})
	}
	var mu sync.Mutex
	var asked []string
	connections := 0
	server := http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.URL.RequestURI())
			var answer any = control.Supervisor{}
			if r.URL.Path == "/v1/services" {
				answer = services
			}
			_ = json.NewEncoder(w).Encode(answer)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			if state == http.StateNew {
				connections++
			}
		},
	}
	go server.Serve(l)
	defer server.Close()
	if status := Main([]string{"daemonry", "logs", "--disk"}, io.Discard, os.Stderr); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) > 2 || connections > 3 { // one to see who is there, and on a busy machine another
		t.Errorf("%d connections for %q", connections, asked)
	}
}

// TestMoments: a time may be cut off anywhere.
func TestMoments(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 30, 0, 0, time.Local)
	read := momentBefore(func() time.Time { return now })
	at := func(month time.Month, day, hour, minute, second int) time.Time {
		return time.Date(2026, month, day, hour, minute, second, 0, time.Local)
	}
	for text, want := range map[string]time.Time{
		"2026-11-21T07:48:30": at(11, 21, 7, 48, 30), "2026-11-21 07:48:30": at(11, 21, 7, 48, 30),
		"2026-11-21 07:48": at(11, 21, 7, 48, 0),
		"2026-11-21T07":    at(11, 21, 7, 0, 0), "2026-11-21 07": at(11, 21, 7, 0, 0),
		"2026-11-21": at(11, 21, 0, 0, 0), "2026-11": at(11, 1, 0, 0, 0),
		"2026": at(1, 1, 0, 0, 0), "07:48": at(11, 21, 7, 48, 0), "07:48:30": at(11, 21, 7, 48, 30),
		"10m":                       now.Add(-10 * time.Minute),
		"2026-11-21T07:48:30Z":      time.Date(2026, 11, 21, 7, 48, 30, 0, time.UTC),
		"2026-11-21T07:48:30+01:00": time.Date(2026, 11, 21, 6, 48, 30, 0, time.UTC),
	} {
		if got, err := read(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "07", "20", "2026-1", "2026-13", "2026-11-21T", "yesterday", "25:00", "-10m", "forever",
		"11-21",
	} {
		if got, err := read(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
