package environ

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestChanged(t *testing.T) {
	unknown := NewSet(t.TempDir()).Of(idOf(nil))
	a := New([]string{"A=1", "B=2", "C=3"})
	for _, tt := range []struct {
		v, from *Environment
		want    string
	}{
		{a, New([]string{"A=1", "B=2", "C=3"}), ""},
		{a, New([]string{"A=2", "B=2"}), "A C"},
		{a, New([]string{"B=2", "C=3", "D="}), "A D"},
		{a, New(nil), "A B C"},
		// sorted by name, which is not by text: "A1=" is less than "A="
		{New([]string{"A=1", "A1=1", "B=1"}), New([]string{"A=1", "A1=1", "B=2"}), "B"},
		{a, unknown, ""},
		{unknown, a, ""},
		{a, nil, ""},
	} {
		if got := strings.Join(tt.v.Changed(tt.from), " "); got != tt.want {
			t.Errorf("%v from %v: %s, want %s", tt.v, tt.from, got, tt.want)
		}
	}
}

// All that have the same share it, and one that could not be read is mended by who has it.
func TestShare(t *testing.T) {
	s := NewSet(filepath.Join(t.TempDir(), "environment"))
	if v := s.Of(""); v != nil || v.ID() != "" || v.Known() {
		t.Errorf("nobody's: %v", v)
	}
	id := New([]string{"A=b"}).ID()
	lost := s.Of(id)
	if _, err := lost.Vars(); !errors.Is(err, fs.ErrNotExist) || lost.ID() != id || lost.Known() {
		t.Errorf("it is not there, and: %v, %v", lost, err)
	}
	if err := s.Save(lost); err != nil || s.Of(id) != lost {
		t.Errorf("what cannot be had is read again: %v", err)
	}
	if _, err := os.Lstat(s.files.dir); err == nil {
		t.Error("what cannot be had is saved")
	}
	first := s.Share(New([]string{"A=b"}))
	vars, err := first.Vars()
	if err != nil || !slices.Equal(vars, []string{"A=b"}) || !first.Known() {
		t.Errorf("mended: %v, %v", vars, err)
	}
	if s.Share(New([]string{"A=b"})) != first || s.Of(id) != first {
		t.Error("it is not shared")
	}
	s.Use([]*Environment{lost, first, lost})
	if s.Of(id) != first {
		t.Error("those who have it as it was read have it forgotten")
	}
}

// What is in use is on disk before somebody writes down that it is, and goes when it is not.
func TestUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "environment")
	files := func() (n int) {
		list, _ := os.ReadDir(dir)
		return len(list)
	}
	s := NewSet(dir)
	a, b := s.Share(New([]string{"A="})), s.Share(New([]string{"B="}))
	for _, step := range []struct {
		used        []*Environment
		saved, left int
	}{
		{nil, 0, 0},
		{[]*Environment{a, nil, b, a}, 2, 2},
		{[]*Environment{nil, b}, 2, 1},
		{[]*Environment{a}, 2, 1},
		{nil, 1, 0},
	} {
		save, sweep := s.Use(step.used)
		s.Share(New([]string{"C="})) // has come later
		err := save()
		if saved := files(); err != nil || saved != step.saved {
			t.Errorf("%v: %d files, %v, want %d", step.used, saved, err, step.saved)
		}
		for _, v := range step.used {
			if v != nil {
				if got, err := NewSet(dir).Of(v.ID()).Vars(); !slices.Equal(got, v.vars) {
					t.Errorf("a successor has %q, %v, want %q", got, err, v.vars)
				}
			}
		}
		if err := sweep(); err != nil || files() != step.left {
			t.Errorf("%v: %d files are left, %v, want %d", step.used, files(), err, step.left)
		}
	}
	if s.Of(b.ID()) == b {
		t.Error("what nobody has is not forgotten")
	}
	if err := os.WriteFile(dir+"x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	save, _ := NewSet(dir + "x").Use([]*Environment{a})
	if err := save(); err == nil {
		t.Error("saved below a file")
	}
}
