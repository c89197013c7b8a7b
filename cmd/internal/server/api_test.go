package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// ask sends a request as it is and returns status and body.
func (f *fixture) ask(t *testing.T, method, path, body string) (int, string, http.Header) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", f.socket)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path,
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

func TestBadRequests(t *testing.T) {
	f := serveFake(t, nil)
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               control.Code
		message            string // part of it
	}{
		{"GET", "/v1/nothing", "", 404, control.NotFound, "no such path"},
		{"GET", "/", "", 404, control.NotFound, "no such path"},
		{"DELETE", "/v1/services", "", 405, control.BadMethod, "DELETE is not for /v1/services"},
		{"GET", "/v1/apply", "", 405, control.BadMethod, "GET is not for"},
		{"GET", "/v1/services?nmae=x", "", 400, control.BadRequest, `unknown parameter "nmae"`},
		{"GET", "/v1/services?usage=maybe", "", 400, control.BadRequest, `parameter "usage"`},
		{"GET", "/v1/services?usage=1&usage=1", "", 400, control.BadRequest, "twice"},
		{"GET", "/v1/services?%zz", "", 400, control.BadRequest, "query"},
		{"GET", "/v1/services", "{}", 400, control.BadRequest, "no body"},
		{"GET", "/v1/services/wbe", "", 404, control.NotFound, "wbe: no such service"},
		{"GET", "/v1/services/wbe/spec", "", 404, control.NotFound, "wbe: no such service"},
		{"GET", "/v1/services/wbe/logs", "", 404, control.NotFound, "wbe: no such service"},
		{"GET", "/v1/services/web/logs?n=x", "", 400, control.BadRequest, `parameter "n"`},
		{"GET", "/v1/events?after=yesterday", "", 400, control.BadRequest, `parameter "after"`},
		{"GET", "/metrics", "", 404, control.NotFound, "not switched on"},
		{"POST", "/v1/services/stop", "", 400, control.BadRequest, "empty"},
		{"POST", "/v1/services/stop", "{", 400, control.BadRequest, "in the middle"},
		{"POST", "/v1/services/stop", "names", 400, control.BadRequest, "not JSON"},
		{"POST", "/v1/services/stop", "{}", 400, control.BadRequest, "no names"},
		{"POST", "/v1/services/stop", `{"names": []}`, 400, control.BadRequest, "no names"},
		{"POST", "/v1/services/stop", `{"names": [""]}`, 400, control.BadRequest, "an empty name"},
		{"POST", "/v1/services/stop", `{"names": ["a"], "all": true}`, 400,
			control.BadRequest, "both"},
		{"POST", "/v1/services/stop", `{"names": ["a"], "force": true}`, 400, control.BadRequest,
			`unknown field "force"`},
		{"POST", "/v1/services/stop", `{"names": "a"}`, 400, control.BadRequest,
			"the body: names: the type string is wrong"},
		{"POST", "/v1/services/stop", `["a"]`, 400, control.BadRequest,
			"the body: the type array is wrong"},
		{"POST", "/v1/services/stop", `{"names": ["a"]} x`, 400, control.BadRequest,
			"something follows"},
		{"POST", "/v1/services/stop", `{"names": ["a"]}{"names": ["b"]}`, 400, control.BadRequest,
			"something follows"},
		{"POST", "/v1/services/stop?name=a", `{"all": true}`, 400, control.BadRequest,
			"unknown parameter"},
		{"POST", "/v1/services/signal", `{"names": ["a"]}`, 400, control.BadRequest, "no signal"},
		{"POST", "/v1/services/signal", `{"names": ["a"], "signal": "TREM"}`, 400,
			control.BadRequest, `"TREM" is not a signal`},
		{"POST", "/v1/services/wait", `{"names": ["a"], "state": "backoff"}`, 400,
			control.BadRequest, `"backoff" cannot be waited for`},
		{"POST", "/v1/services/wait", `{"names": ["a"], "state": "ready", "timeout": 5}`, 400,
			control.BadRequest, "a duration is a text"},
		{"POST", "/v1/apply", `{}`, 400, control.BadRequest, "no services"},
		{"POST", "/v1/apply", `{"services": {}}`, 400, control.BadRequest, "must be an array"},
		{"POST", "/v1/apply", `{"services": [{"name": "a", "comand": "x"}]}`, 400,
			control.BadRequest, `services[0]: unknown field "comand"`},
		{
			"POST", "/v1/apply",
			`{"services": [{"name": "a", "command": "x", "instances": 2000000000}]}`, 422,
			control.Invalid, "instances",
		},
		{"POST", "/v1/apply", `{"services": [` + strings.Repeat("{},", maxServices) + `{}]}`, 400,
			control.BadRequest, "the body: services: more than 20000"},
		{
			"POST", "/v1/apply",
			`{"services": [` + strings.Repeat(`{"instances": 10000},`, 2) + `{}]}`, 400,
			control.BadRequest, "more than 20000",
		},
		{"POST", "/v1/shutdown", `{"now": true}`, 400, control.BadRequest, `unknown field "now"`},
	} {
		status, body, header := f.ask(t, tt.method, tt.path, tt.body)
		name := fmt.Sprintf("%s %s %.60s", tt.method, tt.path, tt.body)
		var e control.Error
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Errorf("%s: %v: %s", name, err, body)
			continue
		}
		if status != tt.status || e.Code != tt.code || !strings.Contains(e.Message, tt.message) {
			t.Errorf("%s: %d %+v, want %d %s …%s…", name, status, e, tt.status, tt.code, tt.message)
		}
		if header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", name, header)
		}
		if status == 405 && header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", name)
		}
	}
	if calls := f.engine.called(); len(calls) != 0 {
		t.Errorf("the engine was asked: %q", calls)
	}
}

func TestRequestsReachTheEngine(t *testing.T) {
	f := serveFake(t, nil)
	ctx := t.Context()
	for _, do := range []func(context.Context, control.Names) error{
		f.Start, f.Stop, f.Restart, f.Reload, f.Remove,
	} {
		if err := do(ctx, control.Named("a", "b")); err != nil {
			t.Error(err)
		}
	}
	if err := f.Stop(ctx, control.Names{All: true}); err != nil {
		t.Error(err)
	}
	if err := f.Signal(ctx, control.SignalRequest{
		Names:  control.Named("a"),
		Signal: "USR1",
	}); err != nil || f.engine.signal != syscall.SIGUSR1 {
		t.Error(err, f.engine.signal)
	}
	if err := f.Wait(ctx, control.WaitRequest{
		Names: control.Named("a"),
		State: control.Ready,
	}); err != nil || f.engine.state != control.Ready {
		t.Error(err, f.engine.state)
	}
	want := []string{"start a b", "stop a b", "restart a b", "reload a b", "remove a b", "stop",
		"signal a", "wait a"}
	if diff := cmp.Diff(want, f.engine.called()); diff != "" {
		t.Error(diff)
	}
	s := spec.Service{
		Name:    "web",
		Command: spec.Command{"web", "-p", "80"},
		Ready:   spec.Probe{Kind: spec.ProbeNotify},
	}
	f.engine.plan = []control.Planned{{Name: "web", Action: control.ActionRestart,
		Fields: []string{"command"}, Environ: []string{"A"}, Held: true}}
	plan, err := f.Apply(ctx, control.ApplyRequest{
		Services: []spec.Service{s},
		Environ:  []byte("A=1\x00B=\x00"),
		Source:   "/a",
		Plan:     true,
		NoStart:  true,
	})
	if err != nil ||
		!reflect.DeepEqual(plan, []control.Planned{{Name: "web", Action: control.ActionRestart,
			Fields: []string{"command"}, Environ: []string{"A"}, Held: true}}) {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	apply := supervise.Apply{
		Services: []spec.Service{s},
		Environ:  []string{"A=1", "B="},
		Source:   "/a",
		PlanOnly: true,
		NoStart:  true,
	}
	if diff := cmp.Diff(apply, f.engine.apply, cmpopts.IgnoreUnexported(apply)); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsOfTheEngine(t *testing.T) {
	f := serveFake(t, nil)
	exit := &control.Exit{
		Code:   0,
		Signal: "SEGV",
		Core:   true,
		Text:   "killed by SIGSEGV (core dumped)",
		Words:  []string{"oh", "no"},
	}
	for _, tt := range []struct {
		err  error
		code control.Code
		want control.Error
	}{
		{supervise.ErrClosed, control.Closing,
			control.Error{Message: "the supervisor is shutting down"}},
		{&supervise.NotFoundError{Name: "wbe", Hint: "web"}, control.NotFound,
			control.Error{Message: "wbe: no such service", Hint: "did you mean web?"}},
		{errors.New("a: not running"), control.NotDone, control.Error{Message: "a: not running"}},
		{
			errors.Join(
				&waiters.Error{Failure: control.Failure{
					Name: "a", Reason: "broke", Status: 139, Exit: exit,
				}},
				&waiters.Error{Failure: control.Failure{
					Name: "b", Reason: "too", Status: 125, Retry: true,
				}}),
			control.NotDone,
			control.Error{
				Message: "a: broke\nb: too; it is tried again",
				Failures: []control.Failure{
					{Name: "a", Reason: "broke", Status: 139,
						Exit: &control.Exit{
							Signal: "SEGV",
							Core:   true,
							Text:   exit.Text,
							Words:  []string{"oh", "no"},
						}},
					{Name: "b", Reason: "too", Status: 125, Retry: true},
				},
			},
		},
		{
			spec.Problems{
				{Service: "a", Field: "command", Message: "is missing", Hint: "write one"},
			}, control.Invalid,
			control.Error{Message: "a: command: is missing: write one", Problems: []control.Problem{
				{Service: "a", Field: "command", Message: "is missing", Hint: "write one"},
			}},
		},
	} {
		f.engine.err = tt.err
		err := f.Start(t.Context(), control.Named("a"))
		var e *control.Error
		if !errors.As(err, &e) || !errors.Is(err, tt.code) {
			t.Errorf("%v becomes %v", tt.err, err)
			continue
		}
		tt.want.Code = tt.code
		if !reflect.DeepEqual(*e, tt.want) {
			t.Errorf("%v becomes\n%+v, want\n%+v", tt.err, *e, tt.want)
		}
	}
}

func TestWaitTimesOut(t *testing.T) {
	f := serveFake(t, nil)
	f.engine.block, f.engine.begun = make(chan struct{}), make(chan struct{}, 1)
	err := f.Wait(t.Context(), control.WaitRequest{
		Names:   control.Named("a"),
		State:   control.Stopped,
		Timeout: spec.Duration(10 * time.Millisecond),
	})
	if !errors.Is(err, control.TimedOut) || err.Error() != "not within 10ms" {
		t.Errorf("error: %v", err)
	}
}

func TestHealth(t *testing.T) {
	f := serveFake(t, nil)
	f.engine.statuses = []control.Status{
		{Name: "a", State: control.Ready, Ready: true, Wanted: true},
		{Name: "b", State: control.Stopped},
	}
	if h, err := f.Health(t.Context()); err != nil ||
		!reflect.DeepEqual(h, control.Health{Healthy: true, NotReady: []string{}}) {
		t.Errorf("all is well: %+v, %v", h, err)
	}
	f.engine.statuses = append(f.engine.statuses,
		control.Status{Name: "c", State: control.Backoff, Wanted: true})
	if h, err := f.Health(t.Context()); err != nil ||
		!reflect.DeepEqual(h, control.Health{NotReady: []string{"c"}}) {
		t.Errorf("c is not well: %+v, %v", h, err)
	}
	if status, _, _ := f.ask(t, "GET", "/v1/health", ""); status != 503 {
		t.Errorf("status %d, want 503", status)
	}
	f.engine.err = supervise.ErrClosed
	if _, err := f.Health(t.Context()); !errors.Is(err, control.Closing) {
		t.Errorf("closing: %v", err)
	}
}

func TestOneService(t *testing.T) {
	f := serveFake(t, nil)
	f.engine.statuses = []control.Status{{Name: "web", State: control.Ready, PID: 3}}
	_, body, _ := f.ask(t, "GET", "/v1/services/web?usage=1", "")
	var s control.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.Name != "web" ||
		*s.Memory != 3<<20 || *s.CPU != spec.Duration(1500*time.Millisecond) {
		t.Errorf("%v: %s", err, body)
	}
	if _, body, _ = f.ask(t, "GET", "/v1/services/web", ""); strings.Contains(body, "memory") ||
		!strings.Contains(body, `"exit":null`) {
		t.Errorf("without usage: %s", body)
	}
}

// TestDescriptionsOfAll: with their states. Of a service that is removed in between there is none.
func TestDescriptionsOfAll(t *testing.T) {
	f := serveFake(t, nil)
	f.engine.statuses = []control.Status{{Name: "gone"}, {Name: "web"}}
	f.engine.spec = spec.Service{Name: "web", Command: spec.Command{"x"}}
	list, err := f.Status(t.Context(), control.StatusRequest{Spec: true})
	if err != nil || len(list) != 1 || !reflect.DeepEqual(*list[0].Spec, f.engine.spec) {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = f.Status(t.Context(), control.StatusRequest{}); err != nil || len(list) != 2 ||
		list[1].Spec != nil {
		t.Errorf("not asked for: %+v, %v", list, err)
	}
	if _, err = f.Status(t.Context(), control.StatusRequest{
		Names: []string{"gone", "web"},
		Spec:  true,
	}); !errors.Is(err, control.NotFound) {
		t.Errorf("by its name: %v", err)
	}
}
