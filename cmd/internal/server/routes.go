package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/sys"
)

// api answers requests by asking the engine. It has no state of its own.
type api struct {
	engine    Engine
	usage     func(pid int) (sys.Usage, error) // of a process
	about     control.Supervisor               // what does not change
	where     func() paths.Paths               // at present; nil: as about says
	started   time.Time
	metrics   bool
	heartbeat time.Duration // between signs of life in a stream
	writeTime time.Duration
	stop      func() // begins to shut down
	stopped   <-chan struct{}

	changeover *changeover // nil: this supervisor cannot be replaced
}

// handler answers a request, or returns the error to answer with.
type handler func(a *api, w http.ResponseWriter, r *http.Request) error

// get makes a handler of what answers a request with the parameters known.
func get(serve func(*api, *http.Request, url.Values) (any, error), known ...string) handler {
	return func(a *api, w http.ResponseWriter, r *http.Request) error {
		q, err := query(r, known...)
		if err != nil {
			return err
		}
		v, err := serve(a, r, q)
		return done(w, v, err)
	}
}

// post makes a handler of what answers a request with a T in its body and without parameters.
func post[T any](serve func(*api, context.Context, T) (any, error)) handler {
	return func(a *api, w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		var body T
		if err := decode(w, r, &body); err != nil {
			return err
		}
		v, err := serve(a, r.Context(), body)
		return done(w, v, err)
	}
}

// done answers with v, unless there was an error.
func done(w http.ResponseWriter, v any, err error) error {
	if err == nil {
		answerJSON(w, http.StatusOK, v)
	}
	return err
}

// route is a method and a path, as in net/http.ServeMux.
type route struct {
	method, path string
	serve        handler
}

// routes are all there are. docs/openapi.json and docs/api.md have them too, and a test sees to it.
func routes() []route {
	return []route{
		{"GET", "/v1/supervisor", get((*api).supervisor)},
		{"GET", "/v1/health", (*api).health},
		{"GET", "/v1/services", get((*api).services, "name", "usage", "spec")},
		{"GET", "/v1/services/{name}", get((*api).service, "usage", "spec")},
		{"GET", "/v1/services/{name}/spec", get((*api).spec)},
		{"GET", "/v1/services/{name}/logs", (*api).serviceLogs},
		{"POST", "/v1/apply", post((*api).apply)},
		{"POST", "/v1/services/start", change(Engine.Start)},
		{"POST", "/v1/services/stop", change(Engine.Stop)},
		{"POST", "/v1/services/restart", post((*api).restart)},
		{"POST", "/v1/services/reload", change(Engine.Reload)},
		{"POST", "/v1/services/remove", change(Engine.Remove)},
		{"POST", "/v1/services/reopen", change(Engine.ReopenLogs)},
		{"POST", "/v1/services/signal", post((*api).signal)},
		{"POST", "/v1/services/wait", post((*api).wait)},
		{"GET", "/v1/events", (*api).events},
		{"POST", "/v1/upgrade", post((*api).upgrade)},
		{"POST", "/v1/shutdown", post((*api).shutdown)},
		{"GET", "/metrics", (*api).serveMetrics},
	}
}

// newHandler returns the whole API behind a gate.
func newHandler(a *api, allowed gate) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes() {
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
			if err := a.run(rt.serve, w, r); err != nil {
				answerError(w, err)
			}
		})
	}
	mux.HandleFunc("/",
		func(w http.ResponseWriter, r *http.Request) { answerError(w, noRoute(mux, w, r)) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = &timedWriter{w, a.writeTime}
		if err := allowed(r); err != nil {
			w.Header().Set("Connection", "close") // nothing that a stranger sends is read
			answerError(w, err)
			return
		}
		if p, ok := r.Context().Value(connKey{}).(peer); ok {
			p.letIn()
		}
		mux.ServeHTTP(w, r)
	})
}

// run answers a request. A GET has no body, for nobody would read it.
func (a *api) run(serve handler, w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost && r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		return badRequest("", "%s takes no body", r.Method)
	}
	return serve(a, w, r)
}

// noRoute tells an unknown path from a wrong method.
func noRoute(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(other); pattern != "/" {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		return failed(control.NotFound, "see docs/api.md", "no such path: %s", r.URL.Path)
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	return failed(control.BadMethod, "use "+strings.Join(allow, " or "),
		"%s is not for %s", r.Method, r.URL.Path)
}
