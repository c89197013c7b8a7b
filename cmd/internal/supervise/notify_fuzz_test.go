package supervise

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/hearing"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/spec"
)

// FuzzNotify sends the notify server whatever datagrams, from the service itself, from its child,
// from process 1 and from a stranger. What must hold of the engine holds after each, nobody speaks
// for another service, and all can be stopped.
func FuzzNotify(f *testing.F) {
	for _, s := range []string{
		"\x00READY=1\nSTATUS=up", "\x00READY=1\xff\x00RELOADING=1\nMONOTONIC_USEC=1\xff\x00READY=1",
		"\x00WATCHDOG=trigger", "\x00MAINPID=102\xff\x01READY=1", "\x00MAINPID=101",
		"\x00WATCHDOG_USEC=1\xff\x00WATCHDOG=1", "\x00EXTEND_TIMEOUT_USEC=18446744073709551615",
		"\x00STOPPING=1\nERRNO=2\nEXIT_STATUS=7", "\x02READY=1\xff\x03READY=1",
		"\x00FDSTORE=1\nFDNAME=x", "\x00RESTART_RESET=1\nREADY=1", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		bubble(t, func(b *bench) {
			all := func(s *spec.Service) {
				s.NotifyAccess, s.Watchdog = spec.NotifyAll, spec.Duration(time.Minute)
			}
			a, quiet := b.put(plain("a", all)), b.put(plain("quiet"))
			b.inOwner(func() { b.want([]*service{a, quiet}, waiters.Start) })
			child := b.k.adopt(b.pidOf(a))
			for packet := range bytes.SplitSeq(data, []byte{0xff}) {
				if len(packet) == 0 {
					continue
				}
				sender := []int{b.pidOf(a), child, 1, 7777}[packet[0]%4]
				m, _ := notify.Parse(packet[1:]) // as hear does
				b.inOwner(func() {
					b.hearing.Heard(hearing.Message{Sender: sys.Sender{PID: sender}, Message: m})
				})
				b.inOwner(b.check)
			}
			b.inOwner(func() {
				if quiet.State() == Ready || quiet.Text() != "" {
					b.Errorf("somebody has spoken for another service: it is %v, %q",
						quiet.State(), quiet.Text())
				}
			})
			ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
			defer cancel()
			if err := b.Stop(ctx); err != nil {
				b.Errorf("stop: %v", err)
			}
			synctest.Wait()
		})
	})
}
