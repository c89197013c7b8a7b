package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/daemonry/daemonry/control"
)

// goal says whether a service is where it is waited for to be.
type goal func(control.Status) bool

func isUp(s control.Status) bool { return s.Ready }
func isDown(s control.Status) bool {
	return s.State == control.Stopped || s.State == control.Failed
}

// watching does something that takes its time, and shows on a terminal
// what it is waiting for meanwhile. names may be none, for all.
func (a *app) watching(ctx context.Context, s *session, names []string, there goal,
	do func(context.Context) error) error {
	line := a.statusLine(false)
	if line == nil {
		return do(ctx)
	}
	showing, done := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.follow(showing, names, there, line) })
	err := do(ctx)
	done()
	wg.Wait()
	line.erase()
	return err
}

// lookPeriod is how often progress is looked at without an event, which may have come before there
// was anybody to hear it.
const lookPeriod = 500 * time.Millisecond

// follow shows what is not there yet, after each event. It is for the eye: what cannot be
// had is not shown, and whoever waits hears of the reason otherwise.
func (s *session) follow(ctx context.Context, names []string, there goal, line *statusLine) {
	happened := make(chan error, 1)
	go s.tellEvents(ctx, names, happened)
	tick := time.Tick(lookPeriod)
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-happened:
			if err != nil {
				return
			}
		case <-tick:
		}
		list, err := s.Status(ctx, control.StatusRequest{Names: names})
		if err != nil {
			return
		}
		if text := missing(list, there); text != "" {
			line.show(text)
		}
	}
}

// missing says which services are not there yet, and why.
func missing(list []control.Status, there goal) string {
	var texts []string
	for _, s := range list {
		switch {
		case there(s) || s.State == control.Stopped:
		case s.State == control.Waiting:
			texts = append(texts, s.Name+" "+s.Reason) // "web waits for db"
		default:
			texts = append(texts, fmt.Sprintf("%s (%s)", s.Name, s.State))
		}
	}
	return strings.Join(texts, ", ")
}
