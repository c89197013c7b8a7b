package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// serve answers every request on a socket with h.
func serve(t testing.TB, h http.HandlerFunc) *control.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.Listener = l
	s.Start()
	c := &control.Client{Socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		c.Close()
		s.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestRequests(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = fmt.Sprintf("%s %s %s", r.Method, r.URL, body)
		switch {
		case r.URL.Path == "/v1/services":
			fmt.Fprint(w, "[]")
		default:
			fmt.Fprint(w, "{}")
		}
	})
	ctx := t.Context()
	for _, tt := range []struct {
		do   func() error
		want string
	}{
		{func() error { _, err := c.Supervisor(ctx); return err }, "GET /v1/supervisor "},
		{func() error { _, err := c.Health(ctx); return err }, "GET /v1/health "},
		{func() error { _, err := c.Status(ctx, control.StatusRequest{}); return err },
			"GET /v1/services "},
		{func() error {
			_, err := c.Status(ctx, control.StatusRequest{Names: []string{"a", "b@1"}, Usage: true})
			return err
		}, "GET /v1/services?name=a&name=b%401&usage=1 "},
		{func() error {
			_, err := c.Status(ctx, control.StatusRequest{Names: []string{"a"}, Spec: true})
			return err
		}, "GET /v1/services?name=a&spec=1 "},
		{func() error { _, err := c.Spec(ctx, "b@1"); return err }, "GET /v1/services/b@1/spec "},
		{func() error { _, err := c.Spec(ctx, "../x"); return err },
			"GET /v1/services/..%2Fx/spec "},
		{func() error {
			_, err := c.Apply(ctx, control.ApplyRequest{
				Services: []spec.Service{{Name: "a", Command: spec.Command{"x"}}},
				Source:   "/f",
			})
			return err
		}, `POST /v1/apply {"services":[{"name":"a","command":["x"]}],"source":"/f"}`},
		{func() error { return c.Start(ctx, control.Named("a")) },
			`POST /v1/services/start {"names":["a"]}`},
		{func() error { return c.Stop(ctx, control.Names{All: true}) },
			`POST /v1/services/stop {"all":true}`},
		{func() error { return c.RestartRolling(ctx, control.Named("a")) },
			`POST /v1/services/restart {"names":["a"],"rolling":true}`},
		{func() error { return c.Restart(ctx, control.Named("a")) },
			`POST /v1/services/restart {"names":["a"]}`},
		{func() error { return c.Reload(ctx, control.Named("a")) },
			`POST /v1/services/reload {"names":["a"]}`},
		{func() error { return c.ReopenLogs(ctx, control.Names{All: true}) },
			`POST /v1/services/reopen {"all":true}`},
		{func() error { return c.Remove(ctx, control.Named("a")) },
			`POST /v1/services/remove {"names":["a"]}`},
		{
			func() error {
				return c.Signal(ctx,
					control.SignalRequest{Names: control.Named("a"), Signal: "HUP"})
			},
			`POST /v1/services/signal {"names":["a"],"signal":"HUP"}`,
		},
		{func() error {
			return c.Wait(ctx, control.WaitRequest{
				Names:   control.Named("a"),
				State:   control.Ready,
				Timeout: spec.Duration(90 * time.Second),
			})
		}, `POST /v1/services/wait {"names":["a"],"state":"ready","timeout":"1m30s"}`},
		{func() error { return c.Shutdown(ctx) }, `POST /v1/shutdown {}`},
		{func() error {
			for _, err := range c.Events(ctx,
				control.EventsRequest{After: 7, Follow: true, Names: []string{"a"}}) {
				return err
			}
			return nil
		}, "GET /v1/events?after=7&follow=1&name=a "},
		{func() error {
			r, err := c.Logs(ctx, control.LogsRequest{Name: "a", Lines: -1, Follow: true})
			if err != nil {
				return err
			}
			return r.Close()
		}, "GET /v1/services/a/logs?follow=1&n=-1 "},
		{func() error {
			r, err := c.Logs(ctx, control.LogsRequest{
				Name: "a", Lines: 5, Since: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC),
				Until: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
				Grep:  "x y", Streams: []string{"err", "log"},
			})
			if err != nil {
				return err
			}
			return r.Close()
		}, "GET " +
			"/v1/services/a/logs?grep=x+y&n=5&since=2026-01-02T03%3A04%3A05.006Z&stream=err&stream=log&until=2026-01-02T03%3A04%3A06Z "},
	} {
		if err := tt.do(); err != nil {
			t.Errorf("%s: %v", tt.want, err)
		}
		if got != tt.want {
			t.Errorf("sent %s\nwant %s", got, tt.want)
		}
	}
}

// TestSpecsOfAnOlderSupervisor: one that does not know the question for all is asked for each.
func TestSpecsOfAnOlderSupervisor(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		switch {
		case r.URL.Query().Has("spec"):
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error": "unknown parameter \"spec\"", "code": "bad_request"}`)
		case r.URL.Path == "/v1/services":
			fmt.Fprint(w, `[{"name": "a"}, {"name": "removed"}, {"name": "b@1"}]`)
		case r.URL.Path == "/v1/services/removed/spec":
			w.WriteHeader(404)
			fmt.Fprint(w, `{"error": "no service \"removed\"", "code": "not_found"}`)
		default:
			fmt.Fprintf(w, `{"name": %q, "command": ["x"]}`, strings.Split(r.URL.Path, "/")[3])
		}
	})
	list, err := c.Status(t.Context(), control.StatusRequest{Names: []string{"a", "b"}, Spec: true})
	if !errors.Is(err, control.NotFound) {
		t.Errorf("%+v, %v", list, err)
	}
	want := []string{"/v1/services?name=a&name=b&spec=1", "/v1/services?name=a&name=b",
		"/v1/services/a/spec", "/v1/services/removed/spec"}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q", asked)
	}
	// Who is not asked for by name may be removed meanwhile.
	list, err = c.Status(t.Context(), control.StatusRequest{Spec: true})
	if err != nil || len(list) != 2 || list[0].Spec.Name != "a" || list[1].Spec.Name != "b@1" {
		t.Errorf("of all: %+v, %v", list, err)
	}
}

// TestKeptConnection: questions share one; what changes something has its own, which nobody is
// about to close; and the answer after an upgrade is not the old program's.
func TestKeptConnection(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/services" {
			fmt.Fprint(w, "[]\n")
			return
		}
		fmt.Fprintf(w, "{\"started\": %q}\n", time.Now().Format(time.RFC3339Nano))
	})
	var reused []bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused = append(reused, i.Reused) },
	})
	ask := func() {
		if _, err := c.Status(ctx, control.StatusRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	for ask(); !reused[len(reused)-1]; ask() { // on a busy machine it is not always soon enough
		if len(reused) > 100 {
			t.Fatal("each question has its connection")
		}
	}
	reused = nil
	if err := c.Start(ctx, control.Named("a")); err != nil || reused[0] {
		t.Errorf("a change on a connection that was kept: %v", err)
	}
	for range 10 {
		reused = nil
		if _, err := c.Upgrade(ctx, control.UpgradeRequest{Program: "/x"}); err != nil ||
			reused[1] || reused[2] {
			t.Errorf("an upgrade on connections that were kept: %v, %v", reused, err)
		}
	}
}

func TestErrors(t *testing.T) {
	answer, status := "", 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	})
	ctx := t.Context()
	status, answer = 404, `{"error": "wbe: no such service", "hint": "did you mean web?", "code": "not_found", "new_field": 1}`
	_, err := c.Status(ctx, control.StatusRequest{})
	var e *control.Error
	if !errors.As(err, &e) || !errors.Is(err, control.NotFound) || e.Hint != "did you mean web?" ||
		err.Error() != "wbe: no such service" {
		t.Errorf("not found: %#v", err)
	}
	status, answer = 409, `{"error": "a: broke", "code": "not_done", "plan": [{"name": "a", "action": "add"}],
		"failures": [{"name": "a", "reason": "broke", "exit": {"code": 0, "signal": "KILL", "text": "x", "words": ["last"]}}]}`
	plan, err := c.Apply(ctx, control.ApplyRequest{})
	if !errors.As(err, &e) || len(plan) != 1 || len(e.Failures) != 1 ||
		e.Failures[0].Exit.Status() != 137 || e.Failures[0].Exit.Words[0] != "last" {
		t.Errorf("not done: %v %#v", plan, err)
	}
	status, answer = 422, `{"error": "x", "code": "invalid", "problems": [{"service": "a", "field": "f", "message": "m", "hint": "h"}]}`
	_, err = c.Apply(ctx, control.ApplyRequest{})
	want := (spec.Problems{{Service: "a", Field: "f", Message: "m", Hint: "h"}})
	if !errors.As(err, &e) || !reflect.DeepEqual(e.ProblemsOf(), want) {
		t.Errorf("invalid: %#v", err)
	}
	status, answer = 502, "<html>"
	if err := c.Shutdown(ctx); err == nil || errors.As(err, &e) ||
		!strings.Contains(err.Error(), "502 Bad Gateway") {
		t.Errorf("no supervisor of ours: %v", err)
	}
	status, answer = 301, ""
	if err := c.Shutdown(ctx); err == nil {
		t.Error("a redirect is followed")
	}
	status, answer = 200, "{"
	if _, err := c.Supervisor(ctx); err == nil {
		t.Error("half an answer is one")
	}
}

func TestUnreachable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	c := &control.Client{Socket: path}
	err := c.Start(t.Context(), control.Named("a"))
	var u *control.UnreachableError
	if !errors.As(err, &u) || u.Address != path || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Start(ctx, control.Named("a")); !errors.Is(err, context.Canceled) ||
		errors.As(err, &u) {
		t.Errorf("given up: %v", err)
	}
}

func TestEventStream(t *testing.T) {
	stream := ""
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, stream)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		if r.URL.Query().Has("follow") {
			<-r.Context().Done() // until the client leaves
		}
	})
	read := func(r control.EventsRequest, most int) (ids []uint64, last error) {
		for ev, err := range c.Events(t.Context(), r) {
			if err != nil {
				return ids, err
			}
			if ids = append(ids, ev.ID); len(ids) == most {
				break
			}
		}
		return ids, nil
	}
	stream = "\n{\"id\": 1, \"kind\": \"state\"}\n\n\n" +
		"{\"id\": 2, \"kind\": \"new\", \"more\": {}}\n"
	if ids, err := read(control.EventsRequest{}, 10); err != nil ||
		!reflect.DeepEqual(ids, []uint64{1, 2}) {
		t.Errorf("events: %v, %v", ids, err)
	}
	if ids, err := read(control.EventsRequest{Follow: true}, 2); err != nil || len(ids) != 2 {
		t.Errorf("left in the middle: %v, %v", ids, err)
	}
	stream = "{\"id\": 1}\n{\"id\""
	if ids, err := read(control.EventsRequest{}, 10); err == nil || len(ids) != 1 {
		t.Errorf("half an event: %v, %v", ids, err)
	}
}

// The names of the fields are a promise.
func TestStatusInJSON(t *testing.T) {
	data, err := json.Marshal(control.Status{Name: "web", State: control.Stopped})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"name", "state", "pid", "ready", "restarts", "since", "exit", "reason",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no %s in %s", name, data)
		}
	}
}

func ExampleClient() {
	client := &control.Client{Socket: "/run/daemonry/control.sock"}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	err := client.Restart(ctx, control.Named("web"))
	var failed *control.Error
	switch {
	case errors.Is(err, control.NotFound):
		fmt.Println("there is no web")
	case errors.As(err, &failed):
		for _, f := range failed.Failures {
			fmt.Println(f.Name, f.Reason)
			if f.Exit != nil {
				fmt.Println(strings.Join(f.Exit.Words, "\n"))
			}
		}
	case err != nil:
		fmt.Println(err)
	}
}
