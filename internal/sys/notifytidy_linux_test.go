package sys

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What a launcher that was killed has left is removed by the next one; what somebody still has
// open, or what is none of it, is not.
func TestNotifyDirectoriesAreTidied(t *testing.T) {
	parent, err := os.MkdirTemp("/tmp", "dmn") // t.TempDir may be too long for a socket (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(parent)
	open := func() *NotifySocket {
		s, err := ListenNotifyIn(parent, -1)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	lives, killed := open(), open()
	defer lives.Close()
	dead := filepath.Base(killed.dir)
	other, full, fresh, old := parent+"/notify-x1", parent+"/notify-2", parent+"/notify-3", parent+"/notify-4"
	long := time.Now().Add(-time.Hour)
	err = errors.Join(killed.file.Close(), os.Mkdir(other, 0o700), os.Mkdir(full, 0o700), os.WriteFile(full+"/socket", nil, 0o600),
		os.Mkdir(fresh, 0o700), os.Mkdir(old, 0o700), os.Chtimes(old, long, long))
	if err != nil {
		t.Fatal(err)
	}
	last := open()
	defer last.Close()
	list, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	for name, want := range map[string]bool{
		filepath.Base(lives.dir): true, filepath.Base(last.dir): true, dead: false,
		"notify-x1": true, "notify-2": true, "notify-3": true, "notify-4": false,
	} {
		if slices.Contains(names, name) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
}
