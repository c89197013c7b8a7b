package query

import (
	"errors"
	"io/fs"
	"os"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
)

// Usage is what a log takes on the disk.
type Usage struct {
	Log
	Files int
	Bytes int64
}

// Disk returns what each log takes, with its rotated files.
func Disk(logs []Log) ([]Usage, error) {
	all := make([]Usage, 0, len(logs))
	for _, l := range logs {
		files, err := layout.List(l.Path)
		if err != nil {
			return nil, err
		}
		u := Usage{Log: l}
		for _, f := range append(files, layout.Rotated{Path: l.Path}) {
			fi, err := os.Stat(f.Path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			u.Files++
			u.Bytes += fi.Size()
		}
		all = append(all, u)
	}
	return all, nil
}
