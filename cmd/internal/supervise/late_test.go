package supervise

import (
	"testing"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// While the owner sleeps it is as if the machine stood still: a limit that was reached then is
// moved by as much, within bounds, and once.
func TestLateDeadline(t *testing.T) {
	const second = time.Second
	for name, tt := range map[string]struct {
		sleeps []time.Duration // of the owner, one after the other
		ready  time.Duration   // for so long after that it is ready still
	}{
		"late":              {[]time.Duration{3 * second}, 2 * second},
		"late for a moment": {[]time.Duration{second + 100*time.Millisecond}, 0},
		"very late":         {[]time.Duration{time.Hour}, 5 * second},
		"late again":        {[]time.Duration{3 * second, 3 * second}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				s := b.put(plain("s", func(s *spec.Service) {
					s.Watchdog, s.Restart = spec.Duration(second), spec.RestartNo
				}))
				b.up(s)
				for i, d := range tt.sleeps {
					b.inOwner(func() { time.Sleep(d) })
					if i < len(tt.sleeps)-1 {
						b.is(s, Ready, "")
					}
				}
				if tt.ready > 0 {
					time.Sleep(tt.ready - time.Millisecond)
					b.is(s, Ready, "")
					time.Sleep(2 * time.Millisecond)
				}
				b.is(s, Failed, "no WATCHDOG=1 within 1s")
			})
		})
	}
}
