package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func (a *api) supervisor(r *http.Request, _ url.Values) (any, error) {
	list, err := a.engine.Status(r.Context())
	if err != nil {
		return nil, err
	}
	unknown, err := a.engine.Unknown(r.Context())
	if err != nil {
		return nil, err
	}
	about := a.about
	about.Unknown = unknown
	if a.where != nil {
		about.RuntimeDir = a.where().Runtime
	}
	about.Uptime = spec.Duration(time.Since(a.started))
	about.Services = len(list)
	about.UpgradeError = a.upgradeFailure()
	about.States = map[control.State]int{}
	for _, s := range list {
		about.States[s.State]++
	}
	return about, nil
}

// health answers 503 when something that is to be up is not, so that a probe
// that looks at nothing but the status understands.
func (a *api) health(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	list, err := a.engine.Status(r.Context())
	if err != nil {
		return err
	}
	h := control.Health{NotReady: []string{}}
	for _, s := range list {
		if s.Wanted && !s.Ready {
			h.NotReady = append(h.NotReady, s.Name)
		}
	}
	status := http.StatusOK
	if h.Healthy = len(h.NotReady) == 0; !h.Healthy {
		status = http.StatusServiceUnavailable
	}
	answerJSON(w, status, h)
	return nil
}

func (a *api) services(r *http.Request, q url.Values) (any, error) {
	return a.statuses(r.Context(), q, q["name"]...)
}

// service answers for one service or instance; the name of a service with
// instances is no name here.
func (a *api) service(r *http.Request, q url.Values) (any, error) {
	name := r.PathValue("name")
	list, err := a.statuses(r.Context(), q, name)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || list[0].Name != name {
		return nil, badRequest("ask for one, or for /v1/services?name="+name,
			"%s is a service with instances", name)
	}
	return list[0], nil
}

// statuses asks the engine and, if the query says so, /proc: three files a service, which is why it
// must be asked for. Of one that is removed meanwhile there is nothing to be told any more.
func (a *api) statuses(
	ctx context.Context, q url.Values, names ...string,
) ([]control.Status, error) {
	usage, err := toggle(q, "usage")
	if err != nil {
		return nil, err
	}
	described, err := toggle(q, "spec")
	if err != nil {
		return nil, err
	}
	list, err := a.engine.Status(ctx, names...)
	if err != nil {
		return nil, err
	}
	statuses := make([]control.Status, 0, len(list))
	for _, st := range list {
		if usage && st.PID != 0 {
			a.addUsage(&st)
		}
		if described {
			sp, err := a.engine.Spec(ctx, st.Name)
			if err != nil && len(names) == 0 && errorOf(err).Code == control.NotFound {
				continue
			}
			if err != nil {
				return nil, err
			}
			st.Spec = &sp
		}
		statuses = append(statuses, st)
	}
	return statuses, nil
}

// usageOf is what a process uses, and the memory that those it has started use as well.
func usageOf(pid int) (sys.Usage, error) {
	u, err := sys.ReadUsage(pid)
	if err != nil {
		return u, err
	}
	list, err := sys.DescendantsOf(pid)
	if err != nil {
		return u, nil // they are not to be seen
	}
	for _, p := range list {
		n, _ := sys.ResidentMemory(p) // one that has ended meanwhile uses none
		u.Memory += n
	}
	return u, nil
}

// addUsage leaves the fields out if they cannot be had: most often the process
// has just ended, which the next status will tell.
func (a *api) addUsage(s *control.Status) {
	if u, err := a.usage(s.PID); err == nil {
		s.CPU, s.Memory = new(spec.Duration(u.CPU)), new(u.Memory)
	}
}

func (a *api) spec(r *http.Request, _ url.Values) (any, error) {
	return a.engine.Spec(r.Context(), r.PathValue("name"))
}

func (a *api) apply(ctx context.Context, body applyBody) (any, error) {
	if body.Services == nil {
		return nil, badRequest(`"services": [] removes all that came from the source`, "no services")
	}
	if err := checkCount(body.Services); err != nil {
		return nil, err
	}
	environ, err := environOf(body.Environ)
	if err != nil {
		return nil, err
	}
	plan, err := a.engine.Apply(ctx, supervise.Apply{
		Services: body.Services, Source: body.Source, Environ: environ, PlanOnly: body.Plan,
		NoStart: body.NoStart,
	})
	if err != nil {
		e := errorOf(err)
		e.Plan = plan
		return nil, e
	}
	return control.Applied{Plan: plan}, nil
}

// environOf takes an environment apart. Errors do not quote it.
func environOf(text []byte) ([]string, error) {
	if text == nil {
		return nil, nil
	}
	vars := []string{}
	for kv := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00") {
		if kv != "" && strings.Index(kv, "=") < 1 {
			return nil, badRequest("", "environ: variable %d is not NAME=VALUE", len(vars)+1)
		}
		if kv != "" {
			vars = append(vars, kv)
		}
	}
	return vars, nil
}

// checkCount counts instances before anybody expands them.
func checkCount(services []spec.Service) error {
	total := 0
	for _, s := range services {
		// Each is looked at by itself, so that no sum overflows.
		if s.Instances > maxServices {
			return invalid(s.Validate())
		}
		if total += max(1, s.Instances); total > maxServices {
			return badRequest("", "more than %d services and instances", maxServices)
		}
	}
	return nil
}

// change makes a handler of one of the engine's requests that take names.
func change(do func(Engine, context.Context, ...string) error) handler {
	return post(func(a *api, ctx context.Context, body control.Names) (any, error) {
		names, err := chosen(body)
		if err != nil {
			return nil, err
		}
		return control.Done{}, do(a.engine, ctx, names...)
	})
}

func (a *api) restart(ctx context.Context, body control.RestartRequest) (any, error) {
	names, err := chosen(body.Names)
	if err != nil {
		return nil, err
	}
	if body.Rolling {
		return control.Done{}, a.engine.RestartRolling(ctx, names...)
	}
	return control.Done{}, a.engine.Restart(ctx, names...)
}

func (a *api) signal(ctx context.Context, body control.SignalRequest) (any, error) {
	names, err := chosen(body.Names)
	if err != nil {
		return nil, err
	}
	if body.Signal == "" {
		return nil, badRequest("", "no signal")
	}
	sig, err := body.Signal.Number()
	if err != nil {
		return nil, badRequest("", "%v", err)
	}
	return control.Done{}, a.engine.Signal(ctx, sig, names...)
}

func (a *api) wait(ctx context.Context, body control.WaitRequest) (any, error) {
	names, err := chosen(body.Names)
	if err != nil {
		return nil, err
	}
	if body.State != control.Ready && body.State != control.Stopped {
		return nil, badRequest("it is ready or stopped", "state %q cannot be waited for",
			body.State)
	}
	if body.Timeout > 0 && body.Timeout != spec.Forever {
		late := failed(control.TimedOut, "", "not within %v", body.Timeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(body.Timeout), late)
		defer cancel()
	}
	return control.Done{}, a.engine.Wait(ctx, body.State, names...)
}

// shutdown answers when every service has stopped; what is wanted stays on disk.
func (a *api) shutdown(ctx context.Context, _ control.Done) (any, error) {
	a.stop()
	select {
	case <-a.stopped:
	case <-ctx.Done():
	}
	select {
	case <-a.stopped: // also when every request is told to end, which follows
		return control.Done{}, nil
	default:
		return nil, context.Cause(ctx)
	}
}
