//go:build unix && !aix

package spawn

import (
	"io/fs"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// watchedRecord is a Record on the watcher's side.
type watchedRecord struct {
	file   *os.File
	path   string
	before fs.FileInfo // the launcher has not written to it yet: it has no pid
}

// watchRecord takes the record out of the description, so that no stage gets it.
func watchRecord(s *description) (*watchedRecord, error) {
	if s.Record == nil {
		return nil, nil
	}
	r := &watchedRecord{path: s.Record.Path, file: os.NewFile(uintptr(s.record), s.Record.Path)}
	s.Record = nil
	var err error
	r.before, err = r.file.Stat()
	return r, fail(StepStart, r.path, err)
}

// withdraw empties the file and removes it, unless what it says is older than the launch. A
// launcher that is still there does the same, and is who reports what cannot be done.
func (r *watchedRecord) withdraw() {
	if r == nil {
		return
	}
	now, err := r.file.Stat()
	if err != nil || now.Size() > 0 && now.Size() == r.before.Size() &&
		now.ModTime().Equal(r.before.ModTime()) {
		return
	}
	_ = r.file.Truncate(0)
	// By a way on which only root and we have a say. What cannot be removed says nothing now.
	_ = sys.RemoveTrusted(r.path, now)
}
