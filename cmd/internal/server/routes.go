package server

import (
	"net/http"
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

// route is a method and a path, as in net/http.ServeMux.
type route struct {
	method, path string
	serve        handler
}

// routes are all there are. docs/openapi.json and docs/api.md have them too, and a test sees to it.
func routes() []route {
	return []route{
		{"GET", "/v1/supervisor", (*api).supervisor},
		{"GET", "/v1/health", (*api).health},
		{"GET", "/v1/services", (*api).services},
		{"GET", "/v1/services/{name}", (*api).service},
		{"GET", "/v1/services/{name}/spec", (*api).spec},
		{"GET", "/v1/services/{name}/logs", (*api).serviceLogs},
		{"POST", "/v1/apply", (*api).apply},
		{"POST", "/v1/services/start", change(Engine.Start)},
		{"POST", "/v1/services/stop", change(Engine.Stop)},
		{"POST", "/v1/services/restart", (*api).restart},
		{"POST", "/v1/services/reload", change(Engine.Reload)},
		{"POST", "/v1/services/remove", change(Engine.Remove)},
		{"POST", "/v1/services/reopen", change(Engine.ReopenLogs)},
		{"POST", "/v1/services/signal", (*api).signal},
		{"POST", "/v1/services/wait", (*api).wait},
		{"GET", "/v1/events", (*api).events},
		{"POST", "/v1/upgrade", (*api).upgrade},
		{"POST", "/v1/shutdown", (*api).shutdown},
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
		return &control.Error{
			Message: "no such path: " + r.URL.Path,
			Hint:    "see docs/api.md",
			Code:    control.NotFound,
		}
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	return &control.Error{
		Message: r.Method + " is not for " + r.URL.Path,
		Hint:    "use " + strings.Join(allow, " or "),
		Code:    control.BadMethod,
	}
}
