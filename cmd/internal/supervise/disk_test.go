package supervise

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/kept"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/spec"
)

// journalled is a bench that keeps a journal in a directory, of which known is what it says.
func journalled(b *bench) (known func() persist.Found[kept.Record]) {
	dir := b.TempDir()
	b.inOwner(func() {
		b.o.RuntimeDir, b.o.StateDir = dir, dir
		if err := b.keeper.Open(b.o.dirs()); err != nil {
			b.Error(err)
		}
	})
	return func() persist.Found[kept.Record] {
		found, err := persist.Find[kept.Record](dir, dir)
		if err != nil {
			b.Error(err)
		}
		return found
	}
}

// The state files are never ahead of the journal, whatever is written of a service.
func TestStateFilesAreBehindTheJournal(t *testing.T) {
	bubble(t, func(b *bench) {
		known := journalled(b)
		writes := 0
		b.keeper.Replace = func(f persist.StateFile) error {
			found := known()
			if wants, ok := f.Content.(kept.Wants); ok {
				for _, name := range wants.Wanted {
					if !found.Records[name].Wanted {
						t.Errorf("%s: wanted is on disk before the journal says so", name)
					}
				}
			}
			writes++
			return nil
		}
		for i := range 5 {
			one := plain(fmt.Sprint("s", i),
				func(s *spec.Service) { s.Ready = spec.Probe{Kind: spec.ProbeExec} })
			if _, err := b.Apply(b.Context(), Apply{Services: []spec.Service{one}}); err != nil {
				t.Error(err)
			}
		}
		b.inOwner(func() {
			before := writes
			b.note(b.services.Named("s0"))
			b.changed(true)
			time.Sleep(time.Second) // the journal is written, and the owner has not heard of it
			if writes > before {
				t.Error("a state file is written before it is known that the journal is")
			}
		})
		if writes < 12 {
			t.Errorf("%d files were written", writes)
		}
	})
}

// All services, and what is known of those that nothing describes, are in a journal.
func TestJournalOfAll(t *testing.T) {
	bubble(t, func(b *bench) {
		known := journalled(b)
		b.inOwner(func() {
			b.put(plain("a"))
			b.put(plain("b"))
			b.unknown["c"] = kept.Record{Name: "c"}
		})
		if err := b.Save(b.Context()); err != nil {
			t.Error(err)
		}
		if found := known(); len(found.Records) != 3 || len(found.Faults) > 0 {
			t.Errorf("found %+v", found)
		}
		b.inOwner(func() { b.forget(b.services.Named("b")) })
		if found := known(); len(found.Records) != 2 || found.Records["b"].Name != "" {
			t.Errorf("after b is forgotten: %+v", found)
		}
		b.inOwner(func() { b.unknown = map[string]kept.Record{} })
	})
}

// A description is in the journal until it is in the state files.
func TestJournalDescribes(t *testing.T) {
	bubble(t, func(b *bench) {
		known := journalled(b)
		broken := errors.New("broken")
		b.keeper.Replace = func(persist.StateFile) error { return broken }
		s := b.put(plain("a"))
		b.inOwner(func() { b.described(s); b.changed(true) })
		b.inOwner(func() { b.note(s) })
		if found := known(); found.Records["a"].Spec == nil {
			t.Errorf("not described anywhere: %+v", found)
		}
		b.inOwner(func() { broken = nil; b.keeper.State.Write() })
		b.inOwner(func() { b.note(s) })
		if found := known(); found.Records["a"].Spec != nil || found.Records["a"].Name != "a" {
			t.Errorf("described for ever: %+v", found)
		}
	})
}

// What has been left behind is what the journal of an engine that has ended says; otherwise there
// is none.
func TestJournalAtTheEnd(t *testing.T) {
	for _, unproven := range []bool{false, true} {
		bubble(t, func(b *bench) {
			known := journalled(b)
			b.inOwner(func() {
				s := b.put(plain("a"))
				if unproven {
					s.LeaveAlone("")
				}
				b.keeper.Journal.Write(kept.All)
			})
			b.Cleanup(func() {
				found := known()
				if found.There != unproven || found.Records["a"].Unproven != unproven {
					t.Errorf("left something behind: %v, found: %+v", unproven, found)
				}
			})
		})
	}
}

// What is stored of services: not those that are being removed.
func TestStoredState(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"a", "b", "c"} {
		b.put(plain(name))
	}
	a, c := b.services.Named("a"), b.services.Named("c")
	a.source, a.environ, a.Wanted = "/f.toml", inherited([]string{"A=1"}), true
	b.services.Named("b").removed, c.held = true, true
	source := source{b.Engine}
	want := []kept.Service{
		{Source: "/f.toml", Spec: *a.Spec(), Environ: a.environ.ID()},
		{Spec: *c.Spec()},
	}
	if specs := source.Specs(); !reflect.DeepEqual(specs.Services, want) {
		t.Errorf("stored %+v", specs)
	}
	wants := source.Wants()
	if got := fmt.Sprint(wants.Wanted, wants.Held); got != "[a] [c]" {
		t.Errorf("stored %s", got)
	}
	source.Environs()
	if used := b.environs.Of(a.environ.ID()); used != a.environ {
		t.Errorf("not in use: %v", used)
	}
}
