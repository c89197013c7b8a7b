package persist

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

type names struct {
	Versioned
	Names []string `json:"names"`
}

// A state file is read whole or refused.
func TestReadState(t *testing.T) {
	const newest = 2
	for name, tt := range map[string]struct{ content, want string }{
		"ours":  {`{"version": 2, "names": ["a"]}`, ""},
		"older": {`{"version": 1, "names": ["a"]}`, ""},
		"newer": {`{"version": 3, "names": ["a"]}`,
			"version 3, and this program reads 2: written by a newer version"},
		"no version":       {`{"names": ["a"]}`, "it has no version"},
		"a version of old": {`{"version": 0, "names": ["a"]}`, "it has no version"},
		"two versions":     {`{"Version": 1, "version": 2, "VERSION": 3}`, "version 3"},
		"a newer field":    {`{"version": 2, "names": ["a"], "later": 1}`, `unknown field "later"`},
		"another type":     {`{"version": 2, "names": "a"}`, "cannot unmarshal"},
		"cut":              {`{"version": 2, "nam`, "unexpected end"},
		"empty":            {``, "unexpected end"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "names.json")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			var got names
			err := ReadState(path, newest, &got)
			switch {
			case tt.want == "" && (err != nil || len(got.Names) != 1 || got.Names[0] != "a"):
				t.Errorf("%+v, %v", got, err)
			case tt.want == "":
			case err == nil, !strings.HasPrefix(err.Error(), path+": "),
				!strings.Contains(err.Error(), tt.want):
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	got := names{Names: []string{"as it was"}}
	err := ReadState(filepath.Join(t.TempDir(), "none"), newest, &got)
	if err != nil || len(got.Names) != 1 {
		t.Errorf("none: %+v, %v", got, err)
	}
}

// Files are replaced one after the other, with what was set aside if need be.
func TestReplaceAll(t *testing.T) {
	dir := t.TempDir()
	var b Ballast
	b.Move(dir)
	files := []StateFile{
		{filepath.Join(dir, "a"), names{Names: []string{"x"}}},
		{filepath.Join(dir, "b"), 1},
	}
	tries := 0
	if err := b.ReplaceAll(files, func(f StateFile) error {
		if tries++; tries == 2 {
			return syscall.ENOSPC
		}
		return f.Replace()
	}); err != nil || tries != 3 || b.given {
		t.Errorf("full: %v after %d tries", err, tries)
	}
	data, err := os.ReadFile(files[0].Path)
	if err != nil || string(data) != `{"version":0,"names":["x"]}`+"\n" {
		t.Errorf("%s, %v", data, err)
	}
	broken := errors.New("broken")
	err = b.ReplaceAll(files, func(StateFile) error { tries++; return broken })
	if err != broken || tries != 4 {
		t.Errorf("broken: %v after %d tries", err, tries)
	}
	err = StateFile{filepath.Join(dir, "c"), func() {}}.Replace()
	if err == nil || !strings.HasPrefix(err.Error(), "c: ") {
		t.Errorf("what cannot be written: %v", err)
	}
}
