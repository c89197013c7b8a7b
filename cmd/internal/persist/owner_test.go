package persist

import (
	"errors"
	"os"
	"path/filepath"
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
