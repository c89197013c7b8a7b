package supervise

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/children"
	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/spec"
)

// Instances hold their stop for who needs them all by one name. When a service gets that name they
// are not what is needed any more, and are let go; if nobody had told them, who stops them once
// more would.
func TestHoldEndsWithTheName(t *testing.T) {
	for name, then := range map[string]func(b *bench, web spec.Service){
		"a service of the name": func(b *bench, web spec.Service) {
			go func() {
				a := Apply{Services: []spec.Service{web}, Source: "another file", NoStart: true}
				if _, err := b.Apply(b.Context(), a); err != nil {
					b.Error(err)
				}
			}()
		},
		"stopped once more": func(b *bench, _ spec.Service) {
			b.inOwner(func() {
				delete(b.stopping, b.services.Named("d")) // and nobody was told
				b.unwant(b.services.Instances("web"), "again", waiters.Stop)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bench) {
				up := func(c *spec.Service) { c.Ready = spec.Probe{Kind: spec.ProbeExec} }
				web, d := plain("web", up), plain("d", requires("web"), up)
				two := web
				two.Instances = 2
				for _, one := range []spec.Service{two, d} {
					a := Apply{Services: []spec.Service{one}, Source: one.Name, NoStart: true}
					if _, err := b.Apply(b.Context(), a); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.Start(b.Context(), "d"); err != nil {
					t.Fatal(err)
				}
				b.k.set(func() { b.k.undead = true })
				go func() { _ = b.Stop(b.Context()) }()
				synctest.Wait()
				one := b.named("web@1")
				b.inOwner(func() {
					if !one.Holds() {
						t.Error("it does not wait for who needs it")
					}
				})
				then(b, web)
				b.inOwner(func() {
					if one.Holds() {
						t.Error("it waits for who does not need it")
					}
				})
				b.k.set(func() { b.k.undead = false })
				b.k.die(b.pidOf(b.named("d")), exited(0))
				time.Sleep(time.Minute)
			})
		})
	}
}

// Who was asked to end together with others, and is not being ended after a take-over, holds up
// nobody.
func TestEndingThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := inheriting(t)
		b.put(plain("db"))
		b.put(plain("d", requires("db")))
		records := map[string]kept.Record{}
		for pid, name := range map[int]string{50: "db", 60: "d"} {
			o.live[pid] = other{pidfd: uint64(pid), session: pid}
			records[name] = kept.Record{Name: name, Ending: name == "d", Record: lifecycle.Record{
				State: Ready, Wanted: true, Session: pid,
				Main: children.Identity{PID: pid, Pidfd: uint64(pid)},
			}}
		}
		left := known(records["db"])
		left.Records = records
		b.takeOver(left, nil)
		end := b.run()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := b.Stop(ctx, "db"); err != nil {
			t.Error(err)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
