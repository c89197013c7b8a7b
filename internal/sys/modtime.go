package sys

import (
	"os"
	"time"
)

// SetModTime sets the modification time of f, which is open under the name
// path, and leaves its access time alone. It returns the time that the file
// system kept: many round it (ext3 and HFS+ to seconds, FAT to two, NTFS to 100 ns).
func SetModTime(f *os.File, path string, t time.Time) (kept time.Time, err error) {
	if err := setModTime(f, path, t); err != nil {
		return time.Time{}, err
	}
	fi, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return fi.ModTime(), nil
}
