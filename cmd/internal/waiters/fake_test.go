package waiters

import (
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// fake is a service that stands as a test says.
type fake struct {
	name      string // "" is "s"
	state     control.State
	kind      spec.Type
	timeout   time.Duration
	pid       int
	reason    string
	exit      *control.Exit
	cause     error
	next      time.Time
	completed bool
	forked    bool
	reloading bool
	refused   string
	held      bool
	obstacle  Obstacle
}

func (f *fake) Name() string {
	if f.name == "" {
		return "s"
	}
	return f.name
}

func (f *fake) Spec() *spec.Service {
	return &spec.Service{Name: f.Name(), Type: f.kind, Timeout: new(spec.Duration(f.timeout))}
}

func (f *fake) PID() int             { return f.pid }
func (f *fake) State() control.State { return f.state }
func (f *fake) Reason() string       { return f.reason }
func (f *fake) Exit() *control.Exit  { return f.exit }
func (f *fake) Cause() error         { return f.cause }
func (f *fake) Next() time.Time      { return f.next }
func (f *fake) Completed() bool      { return f.completed }
func (f *fake) Forked() bool         { return f.forked }
func (f *fake) Reloading() bool      { return f.reloading }
func (f *fake) WhyRefused() string   { return f.refused }
func (f *fake) Held() bool           { return f.held }
func (f *fake) Obstacle() Obstacle   { return f.obstacle }

// said is what w has been told by now: "" if nothing, "done" if that all is well.
func said(w *Waiter) string {
	select {
	case err := <-w.Answer():
		if err == nil {
			return "done"
		}
		return err.Error()
	default:
		return ""
	}
}
