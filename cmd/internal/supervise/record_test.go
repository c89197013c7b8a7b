package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/spec"
)

// All that is recorded comes back.
func TestRecord(t *testing.T) {
	var r record
	fill(reflect.ValueOf(&r).Elem())
	described := spec.Service{Name: r.Name, Command: spec.Command{"x"}}.WithDefaults()
	r.Spec, r.Gone = &described, false
	head, err := persist.NewHead()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	j := persist.NewJournal[record](dir, persist.Owner{Head: head}, &persist.Ballast{})
	if err := j.Replace([]record{r}); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	found, err := persist.Find[record]("", dir)
	if err != nil || len(found.Records) != 1 || !reflect.DeepEqual(found.Records[r.Name], r) {
		t.Errorf("%+v has become %+v, %v", r, found, err)
	}
}

// fill gives everything in v but descriptions a value that is not its zero.
func fill(v reflect.Value) {
	switch at := reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)); {
	case v.Type() == at.Type():
		v.Set(at)
	case v.Type() == reflect.TypeFor[*spec.Service]():
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(1e9)
	case v.CanUint():
		v.SetUint(5)
	default:
		panic(fmt.Sprint("a value for ", v.Type()))
	}
}

// journalled is a bench that keeps a journal in a directory, of which known is what it says.
func journalled(b *bench) (dir string, known func(dir string) persist.Found[record]) {
	dir = b.TempDir()
	head, err := persist.NewHead()
	if err != nil {
		b.Fatal(err)
	}
	b.inOwner(func() { b.keepJournal(dir, head) })
	return dir, func(dir string) persist.Found[record] {
		found, err := persist.Find[record]("", dir)
		if err != nil {
			b.Error(err)
		}
		return found
	}
}

// The state files are never ahead of the journal, whatever is written of a service.
func TestStateFilesAreBehindTheJournal(t *testing.T) {
	bubble(t, func(b *bench) {
		dir, known := journalled(b)
		writes := 0
		b.state.replace = func(f persist.StateFile) error {
			found := known(dir)
			if wants, ok := f.Content.(storedWants); ok {
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

// All services, and what is known of those that nothing describes, are in a journal that is saved,
// removed by somebody and saved again, or has to be in another directory.
func TestJournalOfAll(t *testing.T) {
	bubble(t, func(b *bench) {
		dir, known := journalled(b)
		b.inOwner(func() {
			b.put(plain("a"))
			b.put(plain("b"))
			b.journal.unknown["c"] = record{Name: "c"}
		})
		for _, step := range []func() error{
			func() error { return b.Save(b.Context()) },
			func() error { return os.Remove(filepath.Join(dir, persist.JournalFile)) },
			func() error {
				b.inOwner(func() {
					dir = b.TempDir()
					b.o.RuntimeDir, b.journal.moved = dir, true
				})
				return nil
			},
		} {
			if err := errors.Join(step(), b.Save(b.Context())); err != nil {
				t.Error(err)
			}
			if found := known(dir); len(found.Records) != 3 || len(found.Faults) > 0 {
				t.Errorf("found %+v", found)
			}
		}
		b.inOwner(func() {
			b.journal.unknown = map[string]record{}
			b.forget(b.services.Named("b"))
		})
		if found := known(dir); len(found.Records) != 2 || found.Records["b"].Name != "" {
			t.Errorf("after b is forgotten: %+v", found)
		}
	})
}

// A description is in the journal until it is in the state files.
func TestJournalDescribes(t *testing.T) {
	bubble(t, func(b *bench) {
		dir, known := journalled(b)
		broken := errors.New("broken")
		b.state.replace = func(persist.StateFile) error { return broken }
		s := b.put(plain("a"))
		b.inOwner(func() { b.described(s); b.changed(true) })
		b.inOwner(func() { b.note(s) })
		if found := known(dir); found.Records["a"].Spec == nil {
			t.Errorf("not described anywhere: %+v", found)
		}
		b.inOwner(func() { broken = nil; b.state.Write() })
		b.inOwner(func() { b.note(s) })
		if found := known(dir); found.Records["a"].Spec != nil || found.Records["a"].Name != "a" {
			t.Errorf("described for ever: %+v", found)
		}
	})
}

// What has been left behind is what the journal of an engine that has ended says; otherwise there
// is none.
func TestJournalAtTheEnd(t *testing.T) {
	for _, unproven := range []bool{false, true} {
		bubble(t, func(b *bench) {
			dir, known := journalled(b)
			b.journal.file.Owner.Dir = dir
			b.inOwner(func() {
				s := b.put(plain("a"))
				if unproven {
					s.LeaveAlone("")
				}
				b.journal.Write(everything)
			})
			b.Cleanup(func() {
				found := known(dir)
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
	specs := b.specs().Content.(storedSpecs)
	want := []storedService{{"/f.toml", *a.Spec(), a.environ.ID()}, {"", *c.Spec(), ""}}
	if specs.Version != stateVersion || !reflect.DeepEqual(specs.Services, want) {
		t.Errorf("stored %+v", specs)
	}
	wants := b.wants().Content.(storedWants)
	if got := fmt.Sprint(wants.Version, wants.Wanted, wants.Held); got != "2 [a] [c]" {
		t.Errorf("stored %s", got)
	}
	b.useEnvirons()
	if used := b.state.environs.Of(a.environ.ID()); used != a.environ {
		t.Errorf("not in use: %v", used)
	}
}
