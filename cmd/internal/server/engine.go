package server

import (
	"context"
	"syscall"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// Engine is what the API needs of [supervise.Engine]. No names stand for every service.
type Engine interface {
	Apply(ctx context.Context, a supervise.Apply) ([]control.Planned, error)
	Start(ctx context.Context, names ...string) error
	Stop(ctx context.Context, names ...string) error
	Restart(ctx context.Context, names ...string) error
	RestartRolling(ctx context.Context, names ...string) error
	Reload(ctx context.Context, names ...string) error
	Remove(ctx context.Context, names ...string) error
	ReopenLogs(ctx context.Context, names ...string) error
	Signal(ctx context.Context, sig syscall.Signal, names ...string) error
	Wait(ctx context.Context, state control.State, names ...string) error
	Status(ctx context.Context, names ...string) ([]control.Status, error)
	Spec(ctx context.Context, name string) (spec.Service, error)
	Unknown(ctx context.Context) ([]control.Unknown, error)
	Subscribe(ctx context.Context, after uint64) ([]control.Event, Subscription, error)
}

// Subscription is what the API needs of [events.Subscription].
type Subscription interface {
	Next(ctx context.Context) (control.Event, error)
	Close()
}

// realEngine is the Engine of Serve.
type realEngine struct{ *supervise.Engine }

func (e realEngine) Subscribe(
	ctx context.Context, after uint64,
) ([]control.Event, Subscription, error) {
	past, s, err := e.Engine.Subscribe(ctx, after)
	return past, s, err
}
