package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Cut off is who left services in this boot and has no journal any more: one that ended in order
// has left it, or no owner's file.
func TestCutOff(t *testing.T) {
	here, err := NewHead()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		edit    func(*Head)
		journal bool
		want    bool
	}{
		"killed with its directory": {want: true},
		"leaves something behind":   {journal: true},
		"of another boot":           {edit: func(h *Head) { h.Boot = "another" }},
		"of another pid namespace":  {edit: func(h *Head) { h.Namespace++ }},
		"of a newer version":        {edit: func(h *Head) { h.Version++ }},
	} {
		t.Run(name, func(t *testing.T) {
			state, run := t.TempDir(), t.TempDir()
			if CutOff(state) {
				t.Error("nobody was here")
			}
			head := here
			head.Runtime = run
			if tt.edit != nil {
				tt.edit(&head)
			}
			line, _, err := appendLine(nil, head)
			err = errors.Join(err, os.WriteFile(filepath.Join(state, ownerFile), line, 0o600))
			if tt.journal {
				err = errors.Join(err, os.WriteFile(filepath.Join(run, JournalFile), nil, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := CutOff(state); got != tt.want {
				t.Errorf("cut off: %v", got)
			}
		})
	}
}

// place is where a supervisor has its journal and its owner's file.
type place struct {
	*Journal[record]
	state, run string
	troubles   int
}

func newPlace(t *testing.T, change ...func(*Owner)) *place {
	head, err := NewHead()
	if err != nil {
		t.Fatal(err)
	}
	p := &place{state: t.TempDir(), run: t.TempDir()}
	o := Owner{Dir: p.state, Head: head, Ballast: &Ballast{}, Trouble: func(error) { p.troubles++ }}
	for _, f := range change {
		f(&o)
	}
	p.Journal = NewJournal[record](p.run, o, &Ballast{})
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// find is what the next supervisor finds.
func (p *place) find(t *testing.T) Found[record] {
	t.Helper()
	found, err := Find[record](p.state, p.run)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (p *place) putOneAside() error { return os.WriteFile(p.path()+".refused", nil, 0o600) }

// files are the names in the runtime directory.
func (p *place) files(t *testing.T) (names string) {
	t.Helper()
	list, err := os.ReadDir(p.run)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range list {
		names += entry.Name() + " "
	}
	return names
}

// A supervisor finds what its predecessor has left, makes it its own, and keeps for people what it
// does not use.
func TestTake(t *testing.T) {
	damaged := func(p *place) error {
		data, err := os.ReadFile(p.path())
		if err != nil {
			return err
		}
		return os.WriteFile(p.path(), bytes.Replace(data, []byte(`"b"`), []byte(`"B"`), 1), 0o600)
	}
	aside := JournalFile + " " + JournalFile + ".refused "
	for name, tt := range map[string]struct {
		before func(p *place) error
		found  string // records, faults, whether there is a journal
		doubt  string
		files  string
	}{
		"nothing": {(*place).Remove, "0 0 false", "", JournalFile + " "},
		"killed":  {nil, "2 0 true", "", JournalFile + " "},
		"missing": {func(p *place) error { return os.Remove(p.path()) },
			"0 0 false", "missing", JournalFile + " "},
		"damaged": {damaged, "1 1 true", "cannot all be read", aside},
		"damaged again": {func(p *place) error { return errors.Join(damaged(p), p.putOneAside()) },
			"1 1 true", "cannot all be read", aside + JournalFile + ".refused1 "},
		"spoilt": {func(p *place) error { return os.Truncate(p.path(), 0) },
			"0 0 true", "cannot be read", aside},
		"past": {func(p *place) error {
			p.Owner.Head.Boot = "another"
			return errors.Join(p.Replace(nil), p.putOneAside())
		}, "0 0 true", "", aside},
		"copied": {func(p *place) error {
			elsewhere := newPlace(t)
			if err := elsewhere.Replace(nil); err != nil {
				return err
			}
			return os.Rename(elsewhere.path(), p.path())
		}, "0 0 true", "a copy", aside},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			err := p.Take(Found[record]{}, []record{{Name: "a"}, {Name: "b"}})
			err = errors.Join(err, p.Close())
			if err == nil && tt.before != nil {
				err = errors.Join(tt.before(p), p.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			found := p.find(t)
			got := fmt.Sprint(len(found.Records), len(found.Faults), found.There)
			if got != tt.found {
				t.Errorf("found %s, want %s", got, tt.found)
			}
			doubt := ""
			if found.Doubt != nil {
				doubt = found.Doubt.Error()
			}
			if (doubt == "") != (tt.doubt == "") || !strings.Contains(doubt, tt.doubt) {
				t.Errorf("doubt: %s, want %s", doubt, tt.doubt)
			}
			next := newPlace(t, func(o *Owner) { o.Dir = p.state })
			next.dir = p.run
			if err := next.Take(found, []record{{Name: "c"}}); err != nil {
				t.Error(err)
			}
			if got := p.files(t); got != tt.files {
				t.Errorf("there is %s, want %s", got, tt.files)
			}
			if !Owned(p.state) {
				t.Error("the directories are nobody's")
			}
			again := p.find(t)
			if whole := found.There && found.Refused == nil && len(found.Faults) == 0; !whole {
				if len(again.Records) != 1 || again.Records["c"].Name != "c" || again.Doubt != nil {
					t.Errorf("the next one finds %+v", again)
				}
			} else if len(again.Records) != len(found.Records) { // it is written later
				t.Errorf("the next one finds %+v", again)
			}
			err, left := next.Remove(), p.files(t)
			if err != nil || Owned(p.state) || strings.HasPrefix(left, JournalFile+" ") {
				t.Errorf("in the end there is %s, %v", left, err)
			}
			if found := p.find(t); found.Doubt != nil || found.There {
				t.Errorf("after the end: %+v", found)
			}
		})
	}
}

// Who takes a runtime directory over from the other kind of supervisor takes away that one's claim.
func TestDisplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		runtime func(p *place) string
		spoil   bool
		owned   bool
	}{
		"of the same directory": {runtime: func(p *place) string { return p.run }},
		"of another": {runtime: func(*place) string { return "/elsewhere" },
			owned: true},
		"damaged": {runtime: func(p *place) string { return p.run }, spoil: true},
		"none":    {},
	} {
		t.Run(name, func(t *testing.T) {
			other := newPlace(t)
			p := newPlace(t, func(o *Owner) { o.Displaced = other.state })
			var err error
			if tt.runtime != nil {
				err = other.Owner.Claim(tt.runtime(p))
			}
			if tt.spoil {
				path := filepath.Join(other.state, ownerFile)
				err = errors.Join(err, os.WriteFile(path, []byte("x"), 0o600))
			}
			if err = errors.Join(err, p.Take(Found[record]{}, nil)); err != nil {
				t.Fatal(err)
			}
			if Owned(other.state) != tt.owned || !Owned(p.state) {
				t.Errorf("the other one's: %v, ours: %v", Owned(other.state), Owned(p.state))
			}
		})
	}
}

// An owner's file that the disk does not take is told, and one that is not taken for another reason
// is an error.
func TestOwnerThatCannotBeWritten(t *testing.T) {
	p := newPlace(t, func(o *Owner) { o.Dir = filepath.Join(o.Dir, "none") })
	if err := p.Take(Found[record]{}, nil); !errors.Is(err, fs.ErrNotExist) || p.troubles > 0 {
		t.Errorf("no directory: %v", err)
	}
	if err := p.Replace(nil); err != nil {
		t.Fatal(err)
	}
	spoilt := Found[record]{There: true, Refused: errCopy}
	if err := p.Take(spoilt, nil); err == nil || p.files(t) != JournalFile+" " {
		t.Errorf("put aside before anybody knows that there was one: %s, %v", p.files(t), err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	p = newPlace(t, func(o *Owner) { o.Dir = "/sys" }) // read-only, or refused whoever asks
	if err := p.Take(Found[record]{}, nil); err != nil || p.troubles != 1 {
		t.Errorf("a disk that does not take it: %v, told %d times", err, p.troubles)
	}
}
