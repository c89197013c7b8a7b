package supervise

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/spec"
)

// TestTakeoverGoesOn: what was under way when the predecessor ended has the rest of its time, or
// its time again, and comes to its end.
func TestTakeoverGoesOn(t *testing.T) {
	settle := func(s *spec.Service) {
		s.Ready = spec.Probe{Kind: spec.ProbeSettle, Settle: spec.Duration(10 * time.Second)}
	}
	for name, tt := range map[string]struct {
		change  func(*spec.Service)
		was     kept.Record
		started time.Duration // ago
		goesOn  time.Duration // as it is
		told    string        // then,
		times   int
	}{
		"settling": {
			change: settle, was: kept.Record{Record: lifecycle.Record{State: Starting}},
			started: 6 * time.Second, goesOn: 4 * time.Second,
		},
		"settling, a clock set": {
			change: settle, was: kept.Record{Record: lifecycle.Record{State: Starting}},
			started: -time.Hour, goesOn: 10 * time.Second,
		},
		"reloading": {
			was:    kept.Record{Record: lifecycle.Record{State: Ready, Rewound: true}},
			goesOn: 30 * time.Second, told: "not ready again within 30s", times: 1,
		},
		"watched": {
			was: kept.Record{
				Record: lifecycle.Record{State: Ready, Watchdog: spec.Duration(time.Second)},
			}, goesOn: time.Second,
			told: "no WATCHDOG=1 within 1s", times: 2, // as it is stopped, and in the end
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, o := inheriting(t)
				o.live[50] = other{pidfd: 7, invocation: "inv", session: 50}
				r := tt.was
				r.Name, r.Wanted, r.Invocation, r.Session = "s", true, "inv", 50
				r.Main = children.Identity{PID: 50, Pidfd: 7}
				r.Started, r.Since = time.Now().Add(-tt.started), time.Now().Add(-24*time.Hour)
				s := b.put(plain("s", func(s *spec.Service) {
					if s.Restart = spec.RestartNo; tt.change != nil {
						tt.change(s)
					}
				}))
				b.takeOver(known(r), nil)
				end := b.run()
				time.Sleep(tt.goesOn - time.Millisecond)
				b.is(s, r.State, "")
				if tt.told != "" {
					b.tells(tt.told, 0)
				}
				b.inOwner(func() {
					if since := time.Since(s.Since()); since < 24*time.Hour {
						t.Errorf("only since %v", since)
					}
				})
				time.Sleep(2 * time.Millisecond)
				if tt.told == "" {
					b.is(s, Ready, "")
				} else {
					b.tells(tt.told, tt.times)
				}
				if err := end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestTakeoverForgets: what was being removed, and had stopped, is forgotten.
func TestTakeoverForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := inheriting(t)
		b.put(plain("s"))
		b.takeOver(
			known(kept.Record{Name: "s", Removed: true, Record: lifecycle.Record{State: Stopped}}),
			nil,
		)
		end := b.run()
		if b.named("s") != nil {
			t.Error("it is still there")
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
