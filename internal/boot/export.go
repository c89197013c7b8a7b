package boot

import (
	"path/filepath"

	"github.com/daemonry/daemonry/internal/writers"
)

// ExportOptions say how files are written into a directory.
type ExportOptions struct {
	Dir string
	// Force replaces files that are not ours, or were changed.
	Force bool
}

// Export plans that files are in a directory, all of them or none. Nothing is
// installed there: no init system is told.
func Export(files []writers.File, o ExportOptions) (*Plan, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if !o.Force {
		if err := inTheWay(dir, files); err != nil {
			return nil, err
		}
	}
	p := (&Machine{}).newPlan(nil)
	for _, f := range files {
		if _, err := p.write(filepath.Join(dir, filepath.FromSlash(f.Path)), f.Mode,
			f.Content); err != nil {
			return nil, err
		}
	}
	return p, nil
}
