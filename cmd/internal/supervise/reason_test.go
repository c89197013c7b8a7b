package supervise

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/control"
)

// What was taken over and dies is being ended because it has died, and not for what is said of how
// it came up.
func TestReasonOfTheEndOfTheAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := inheriting(t)
		o.live[50] = other{pidfd: 7, session: 50}
		b.put(plain("s"))
		b.takeOver(known(kept.Record{Name: "s", Record: lifecycle.Record{
			State: Ready, Wanted: true, Reason: "counts as up: busy for 5s", Since: time.Now(),
			Main: children.Identity{PID: 50, Pidfd: 7}, Session: 50,
		}}), nil)
		end := b.run()
		b.inOwner(func() {})
		o.die(50)
		b.inOwner(func() {})
		past, sub, err := b.Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		sub.Close()
		var reasons []string
		for _, ev := range past {
			if ev.Kind == control.EventState && ev.State == Stopping {
				reasons = append(reasons, ev.Reason)
			}
		}
		if len(reasons) != 1 || reasons[0] != "ended, and how is not known" {
			t.Errorf("stopping because of %q", reasons)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
