package supervise

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/cmd/internal/waiters"
	"github.com/daemonry/daemonry/spec"
)

// withJournal is a bench with a journal, without which there is no standstill.
func withJournal(t *testing.T) (b *bench, dir string) {
	b, dir = newBench(t), t.TempDir()
	b.o.RuntimeDir, b.o.StateDir = dir, dir
	if err := b.keeper.Open(b.o.dirs()); err != nil {
		t.Fatal(err)
	}
	return b, dir
}

// stands asks for a standstill and tells whether it came about.
func (b *bench) stands(ctx context.Context) (answer chan error, stood *bool) {
	answer, stood = make(chan error, 1), new(bool)
	go func() {
		answer <- b.Standstill(ctx, func(handover.ToProgram) error { *stood = true; return nil })
	}()
	synctest.Wait()
	return answer, stood
}

// Who asks for a standstill waits for what is under way, and nothing else begins until it has come
// about or been given up.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := withJournal(t)
		end := b.run()
		b.k.set(func() { b.k.slow = true })
		s, later := b.put(plain("s")), b.put(plain("later"))
		b.inOwner(func() { b.want([]*service{s}, waiters.Start) })
		ctx, giveUp := context.WithCancel(context.Background())
		answer, stood := b.stands(ctx)
		if again, _ := b.stands(ctx); !errors.Is(<-again, ErrBusy) {
			t.Error("two at a time")
		}
		b.inOwner(func() { b.want([]*service{later}, waiters.Start) })
		b.k.set(func() {
			if len(b.k.live) != 1 {
				t.Error("a process is born meanwhile")
			}
		})
		giveUp()
		if err := <-answer; !errors.Is(err, context.Canceled) || *stood {
			t.Error(err, *stood)
		}
		time.Sleep(2 * spawnTime)
		if b.pidOf(s) == 0 || b.pidOf(later) == 0 {
			t.Error("no process is born afterwards")
		}
		if answer, stood = b.stands(context.Background()); <-answer != nil || !*stood {
			t.Error("it does not come about")
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// A supervisor that ends does not become another program.
func TestNoStandstillAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := withJournal(t)
		end := b.run()
		s, slow := b.put(plain("s")), b.put(plain("slow"))
		b.up(s)
		b.k.set(func() { b.k.slow, b.k.deaf = true, true })
		b.inOwner(func() { b.want([]*service{slow}, waiters.Start) })
		answer, stood := b.stands(context.Background())
		if err := end(); err != nil {
			t.Error(err)
		}
		if err := <-answer; !errors.Is(err, ErrClosed) || *stood {
			t.Error(err, *stood)
		}
	})
}

// A successor must find on disk what there is, or there is none.
func TestNoStandstillWithoutADisk(t *testing.T) {
	for name, breaks := range map[string]func(b *bench, dir string) (mend func()){
		"what is wanted is not on disk": func(b *bench, _ string) func() {
			b.inOwner(func() { b.diskErr = errors.New("no disk") })
			_ = b.Stop(context.Background(), "s") // which is done, and not on disk
			return func() { b.inOwner(func() { b.diskErr = nil }) }
		},
		"a successor would not know the services again": func(b *bench, dir string) func() {
			if err := os.Rename(dir, dir+".away"); err != nil {
				b.Error(err)
			}
			if b.Save(context.Background()) == nil {
				b.Error("saved")
			}
			return func() {
				if err := os.Rename(dir+".away", dir); err != nil {
					b.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, dir := withJournal(t)
				end := b.run()
				b.up(b.put(plain("s")))
				mend := breaks(b, dir)
				answer, stood := b.stands(context.Background())
				if err := <-answer; !strings.HasPrefix(text(err), name) || *stood {
					t.Error(err, *stood)
				}
				mend()
				time.Sleep(time.Hour) // until it has been tried again
				if err := end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A service that would end with the thread that forked it stands in the way while it runs.
func TestCanBeReplaced(t *testing.T) {
	bubble(t, func(b *bench) {
		s := b.put(plain("s", func(s *spec.Service) { s.Orphan = spec.OrphanEnd }))
		if err := b.CanBeReplaced(context.Background()); err != nil {
			t.Error(err)
		}
		b.up(s)
		if b.CanBeReplaced(context.Background()) == nil {
			t.Error("it would end, and nobody says so")
		}
	})
}
