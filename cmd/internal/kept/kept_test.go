package kept

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/lifecycle"
	"github.com/daemonry/daemonry/cmd/internal/loop"
	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/spec"
)

// owner owns a Keeper and is its source.
type owner struct {
	testing.TB
	*Keeper
	loop     *loop.Loop
	records  map[string]Record
	specs    []Service
	environs []string // what was done with them
	unsaved  error    // why they cannot be saved
	unswept  error    // or removed
	told     []string // everybody
	troubles []string
}

// keeping has an owner keep what it has in a directory, within a bubble of synctest.
func keeping(t *testing.T, f func(o *owner, dir string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &owner{TB: t, loop: loop.New(errors.New("over")), records: map[string]Record{}}
		o.Keeper = New(Options{
			Source: o, Post: o.loop.Post,
			Trouble: func(err error) { o.troubles = append(o.troubles, err.Error()) },
			Tell:    func(text string) { o.told = append(o.told, text) },
		})
		over := make(chan struct{})
		go func() {
			for {
				select {
				case <-o.loop.Wake():
					o.loop.Run()
				case <-over:
					return
				}
			}
		}()
		dir := t.TempDir()
		o.open(dir)
		f(o, dir)
		close(over)
	})
}

func (o *owner) open(dir string) {
	o.Helper()
	o.do(func() {
		if err := o.Open(Dirs{Runtime: dir, State: dir}); err != nil {
			o.Error(err)
		}
	})
}

// do runs f as the owner, and waits for what comes of it.
func (o *owner) do(f func()) {
	o.Helper()
	if err := o.loop.Ask(o.Context(), f); err != nil {
		o.Error(err)
	}
	synctest.Wait()
}

func (o *owner) Record(name string) (r Record, ok bool) {
	r, ok = o.records[name]
	return r, ok
}

func (o *owner) Records() []Record { return slices.Collect(maps.Values(o.records)) }
func (o *owner) Specs() Specs      { return Specs{Services: o.specs} }

func (o *owner) Wants() (w Wants) {
	for name, r := range o.records {
		if r.Wanted {
			w.Wanted = append(w.Wanted, name)
		}
	}
	return w
}

func (o *owner) Environs() (save, sweep func() error) {
	unsaved, unswept := o.unsaved, o.unswept
	save = func() error {
		o.environs = append(o.environs, "saved")
		return unsaved
	}
	return save, func() error {
		o.environs = append(o.environs, "swept")
		return unswept
	}
}

// is has services be known and wanted, and says nothing of that to the keeper.
func (o *owner) is(names ...string) {
	for _, name := range names {
		o.records[name] = Record{Name: name, Record: lifecycle.Record{Wanted: true}}
	}
}

// save saves the journal.
func (o *owner) save() (err error) {
	o.Helper()
	o.do(func() { o.Save(func(e error) { err = e }) })
	return err
}

// found is what a successor finds in a directory.
func found(t testing.TB, dir string) Left {
	t.Helper()
	left, err := Find(Dirs{Runtime: dir, State: dir})
	if err != nil {
		t.Error(err)
	}
	return left
}

// finds checks for which services there are records in a directory.
func (o *owner) finds(dir string, names ...string) {
	o.Helper()
	left := found(o, dir)
	if got := slices.Sorted(maps.Keys(left.Records)); !slices.Equal(got, names) {
		o.Errorf("found %q, want %q", got, names)
	}
	if len(left.Faults) > 0 || left.Refused != nil || left.There != (len(names) > 0) {
		o.Errorf("found %+v", left)
	}
}

// The state files are never ahead of the journal: it is known to be written before they are begun.
func TestStateIsBehindTheJournal(t *testing.T) {
	keeping(t, func(o *owner, dir string) {
		var files []string
		o.Replace = func(f persist.StateFile) error {
			known := found(t, dir)
			if wants, ok := f.Content.(Wants); ok {
				for _, name := range wants.Wanted {
					if !known.Records[name].Wanted {
						t.Errorf("%s: wanted is on disk before the journal says so", name)
					}
				}
			}
			files = append(files, filepath.Base(f.Path))
			return nil
		}
		o.do(func() {
			o.is("a", "b")
			o.Journal.Write("a", "b")
			o.State.Write(SpecsFile)
			time.Sleep(time.Second) // the journal is written, and the owner has not heard of it
			if len(files) > 0 {
				t.Error("a state file is written before it is known that the journal is")
			}
		})
		// What is wanted is of services that there are.
		if !slices.Equal(files, []string{SpecsFile, WantsFile}) {
			t.Errorf("written: %q", files)
		}
	})
}

// What is in the files is found again; a description is known to be there when it is.
func TestFind(t *testing.T) {
	keeping(t, func(o *owner, dir string) {
		o.specs = []Service{{Source: "/f.toml", Spec: spec.Service{Name: "a"}, Environ: "e"}}
		o.is("a")
		broken := errors.New("broken")
		var first, second Description
		o.do(func() {
			o.unsaved = broken
			first = o.Redescribed()
			o.State.Write(SpecsFile)
		})
		o.do(func() {
			if o.Described(first) || len(found(t, dir).Specs.Services) > 0 {
				t.Error("described by an environment that is nowhere")
			}
			o.unsaved, o.unswept = nil, broken
			o.State.Write(WantsFile)
			second = o.Redescribed()
		})
		if !o.Described(first) || o.Described(second) {
			t.Error("it is not known what is described on disk")
		}
		if got := strings.Join(o.environs, " "); got != "saved saved swept" {
			t.Errorf("environments: %s", got)
		}
		if len(o.troubles) != 2 || !strings.HasSuffix(o.troubles[1], "any more: broken") {
			t.Errorf("told %q", o.troubles)
		}
		left := found(t, dir)
		if left.Specs.Version != stateVersion || left.Wants.Version != stateVersion {
			t.Errorf("of versions %d and %d", left.Specs.Version, left.Wants.Version)
		}
		if got := left.Specs.Services; len(got) != 1 || got[0].Source != "/f.toml" ||
			got[0].Spec.Name != "a" || got[0].Environ != "e" {
			t.Errorf("found %+v", got)
		}
		if !slices.Equal(left.Wants.Wanted, []string{"a"}) {
			t.Errorf("found %+v", left.Wants)
		}
		o.specs = slices.Repeat(o.specs, 2)
		o.do(func() { o.State.Write(SpecsFile) })
		if _, err := Find(Dirs{Runtime: dir, State: dir}); err == nil ||
			!strings.Contains(err.Error(), "service a is in it twice") {
			t.Errorf("a service that is there twice: %v", err)
		}
	})
}

// Everybody is told when what there is would be forgotten, and when it would not any more.
func TestFailing(t *testing.T) {
	keeping(t, func(o *owner, dir string) {
		broken := errors.New("broken")
		fails := func(text string) {
			t.Helper()
			err := o.Failing()
			if (err == nil) != (text == "") || err != nil && !strings.HasPrefix(err.Error(), text) {
				t.Errorf("failing: %v, want %q", err, text)
			}
		}
		fails("")
		o.Replace = func(persist.StateFile) error { return broken }
		o.do(func() { o.State.Write(WantsFile) })
		fails("what is wanted is not on disk: broken")
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		if o.save() == nil {
			t.Error("saved in a directory that is not there")
		}
		fails(unknown + ": ")
		if o.Missing(dir) {
			t.Error("what cannot be written is said to have been removed")
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		o.Replace = persist.StateFile.Replace
		o.do(func() { o.Write() })
		fails("")
		want := []string{
			"what is wanted is not on disk: ", journalFailing + ": ",
			"the journal of services is on disk again", "what is wanted is on disk again",
		}
		if !slices.EqualFunc(o.told, want, strings.HasPrefix) || len(o.troubles) != 2 {
			t.Errorf("told %q, and of troubles %q", o.told, o.troubles)
		}
		if o.NoJournal() != nil {
			t.Error(o.NoJournal())
		}
		o.journal.file = nil
		isUnsupported := func(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
		if !isUnsupported(o.NoJournal()) || !isUnsupported(o.save()) {
			t.Error("saved without a journal")
		}
	})
}

// What may still run is in the journal that is left; otherwise none is left. What is wanted is on
// disk in any case.
func TestTheEnd(t *testing.T) {
	for name, end := range map[string]func(*Keeper) error{
		"": (*Keeper).End, "a": (*Keeper).Leave,
	} {
		keeping(t, func(o *owner, dir string) {
			if err := o.save(); err != nil {
				t.Error(err)
			}
			o.do(func() {
				o.is("a")
				o.State.Mark(WantsFile)
				if err := end(o.Keeper); err != nil {
					t.Error(err)
				}
			})
			var names []string
			if name != "" {
				names = []string{name}
			}
			if o.finds(dir, names...); len(found(t, dir).Wants.Wanted) != 1 {
				t.Error("what is wanted is forgotten")
			}
		})
	}
	keeping(t, func(o *owner, _ string) {
		o.Replace = func(persist.StateFile) error { return errors.New("broken") }
		o.do(func() {
			o.State.Mark(WantsFile)
			if err := o.End(); err == nil || err.Error() != stateFailing+": broken" {
				t.Error(err)
			}
		})
	})
}

// What a supervisor takes from the one before is its own: it is in its journal, and what could not
// be used is told.
func TestTake(t *testing.T) {
	keeping(t, func(o *owner, dir string) {
		path := filepath.Join(dir, persist.JournalFile)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		left := found(t, dir)
		if list := left.Unused(); len(list) != 1 {
			t.Errorf("not used: %v", list)
		}
		o.do(func() {
			o.is("a")
			if err := o.Take(left); err != nil {
				t.Error(err)
			}
		})
		if o.finds(dir, "a"); !persist.Owned(dir) || !o.Journal.Pending() {
			t.Error("it is not ours")
		}
		left.Faults = []error{errors.New("a fault")}
		left.Refused = nil
		if list := left.Unused(); len(list) != 1 || !strings.Contains(list[0].Error(), "a fault") {
			t.Errorf("not used: %v", list)
		}
	})
}
