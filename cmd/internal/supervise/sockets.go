package supervise

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/logs"
)

// A socket is open for as long as a service that is handed it is meant to run: from its first start
// over all crashes, delays and restarts until it is stopped by hand, given up or removed. Meanwhile
// connections queue in it and none is refused. What a service has stored with us is kept as long.

// HoldSockets makes s one of the users of exactly the sockets in its description. Other instances
// have no process by now that has an older one of them.
func (s *service) HoldSockets() {
	instances := s.engine.services.Instances(s.Spec().BaseName())
	s.engine.handover.Hold(&s.Service, s.Spec(), lifecycles(instances))
}

// lifecycles are what package lifecycle has of services.
func lifecycles(list []*service) iter.Seq[*lifecycle.Service] {
	return func(yield func(*lifecycle.Service) bool) {
		for _, s := range list {
			if !yield(&s.Service) {
				return
			}
		}
	}
}

// outdated lists the processes that have an older socket at an address that s is about to open:
// those of other instances, which are restarted for the same edit, and those that it has replaced.
// The address is free when they have ended.
func (e *Engine) outdated(s *service) (list []string) {
	if len(s.Spec().Sockets) == 0 {
		return nil // or a thousand instances without any would each look at all the others
	}
	others := e.services.Instances(s.Spec().BaseName())
	for old := range s.rolling.replaced {
		others = append(others[:len(others):len(others)], old)
	}
	for _, other := range others {
		if other == s || !other.HasProcess() {
			continue
		}
		for _, at := range e.handover.Outdated(&other.Service, s.Spec()) {
			list = append(list, fmt.Sprintf("%s (has %s as it was)", other.Name(), at))
		}
	}
	return list
}

// Handover is what Standstill would hand over, without what is opened for that: for a program that
// is to prove that it could go on.
func (e *Engine) Handover(ctx context.Context) (p handover.ToProgram, err error) {
	err = e.ask(ctx, func() { p.Held = e.heldForServices() })
	return p, err
}

func (e *Engine) heldForServices() []handover.Descriptor {
	return e.handover.Held(lifecycles(e.services.Sorted()), (*lifecycle.Service).Name)
}

// toProgram is what the next program needs; what is in it is to be closed also after an error.
func (e *Engine) toProgram() (p handover.ToProgram, err error) {
	p.Event, p.Held = e.events.Last(), e.heldForServices()
	if p.Notify, err = e.hearing.FD(); err != nil {
		return p, err
	}
	dirs := append(logs.FIFODirs(filepath.Join(e.o.RuntimeDir, logDir)), e.readyPipe(""))
	err = p.OpenPipes(dirs...)
	return p, err
}
