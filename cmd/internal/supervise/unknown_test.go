package supervise

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/spec"
)

// A service that was in the middle of a rolling restart is described again, by a supervisor that
// did not know it any more: one process goes on, and the other one is ended.
func TestDescribedAgainInARollingRestart(t *testing.T) {
	for name, tt := range map[string]struct {
		dead int
		main children.Identity // of the one beside
		want string
	}{
		"both live": {main: children.Identity{PID: 60, Pidfd: 8},
			want: "ready 50 [60 SIGTERM]"},
		"the other one is just born": {want: "ready 50 [60 SIGTERM]"},
		"the first has ended": {dead: 50, main: children.Identity{PID: 60, Pidfd: 8},
			want: "ready - [60 SIGTERM]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, o := inheriting(t)
				o.live[50] = other{pidfd: 7, invocation: "inv", session: 50}
				o.live[60] = other{pidfd: 8, invocation: "next", session: 60}
				delete(o.live, tt.dead)
				b.takeOver(known(kept.Record{
					Name: "s",
					Beside: []kept.Beside{
						{Invocation: "next", Main: tt.main, Session: tt.main.PID},
					},
					Record: lifecycle.Record{
						State: "ready", Wanted: true, Invocation: "inv", Session: 50,
						Started: time.Now(), Main: children.Identity{PID: 50, Pidfd: 7},
					},
				}), nil)
				end := b.run()
				defer func() {
					if err := end(); err != nil {
						t.Error(err)
					}
				}()
				list, err := b.Unknown(t.Context())
				if err != nil || len(list) != 1 {
					t.Fatalf("%v, %v", list, err)
				}
				described := plain("s", func(s *spec.Service) {
					s.Restart, s.Ready = spec.RestartOnFailure, spec.Probe{Kind: spec.ProbeExec}
				})
				if _, err := b.Apply(t.Context(),
					Apply{Source: "test", Services: []spec.Service{described}}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond) // of a synthetic clock: sweeps
				b.inOwner(func() {
					s, which := b.services.Named("s"), "-"
					if s.PID() == 50 {
						which = "50"
					}
					got := fmt.Sprintf("%v %s %v", s.State(), which, slices.Clone(o.signals))
					if got != tt.want {
						t.Errorf("%s (%s), want %s", got, s.Reason(), tt.want)
					}
					if len(s.rolling.replaced) != 0 {
						t.Errorf("%d processes are beside it still", len(s.rolling.replaced))
					}
				})
			})
		})
	}
}
