// Package atomicfile replaces a file whole or not at all.
//
// A reader of the path sees the old content or the new, never a part of either,
// whatever happens to the writer, the disk or the power.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes path a regular file with this content and exactly this mode,
// whatever the umask. The file is a new one: it belongs to the writer, and hard
// links to the old one keep the old content. What is there already must be a
// regular file or nothing: a symbolic link is not followed and not replaced.
//
// It writes a temporary file in the same directory, syncs it, renames it over
// path and syncs the directory, so a nil error also means that the new content
// survives a power failure. If a step fails the temporary file is removed, the
// old content stays, and the error names the step; after a failed sync of the
// directory the new content is in place, but may not survive a power failure.
func Write(path string, data []byte, perm fs.FileMode) error {
	if err := write(path, data, perm, true); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// WriteForBoot is Write for what means nothing after a reboot: whole before the eyes of every
// process and whatever becomes of the writer, but not synced to the disk, which may take as long as
// the disk likes.
func WriteForBoot(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, false)
}

func write(path string, data []byte, perm fs.FileMode, sync bool) error {
	if err := regular(path); err != nil {
		return err
	}
	tmp, err := create(path)
	if err != nil {
		return err
	}
	err = fill(tmp, data, perm, sync)
	if err == nil {
		err = os.Rename(tmp.Name(), path) // *os.LinkError: names the step and both paths
	}
	if err != nil {
		if rmErr := os.Remove(tmp.Name()); rmErr != nil {
			err = fmt.Errorf("%w (and %w)", err, rmErr)
		}
		return err
	}
	return nil
}

// regular refuses a target that a rename would destroy.
func regular(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // or its directory is missing: creating the temporary file will tell
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return &fs.PathError{Op: "replace", Path: path, Err: errors.New("it is not a regular file")}
	}
	return nil
}

// create opens a new file beside path. The name starts with a dot so that
// programs which read every file of a directory pass it over, and is random so
// that two writers do not meet; O_EXCL refuses whatever is there already.
func create(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	if base == "" {
		return nil, &fs.PathError{Op: "replace", Path: path, Err: errors.New("it is a directory")}
	}
	// A name may have 255 bytes; the text added takes 32 of them.
	if len(base) > 220 {
		base = base[:220]
	}
	name := dir + "." + base + "." + rand.Text() + ".tmp"
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
}

// fill completes and closes the temporary file. The mode comes after the
// content: until then nobody but the writer can open the file.
func fill(f *os.File, data []byte, perm fs.FileMode, sync bool) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	// NFS reports a full disk as late as on close.
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
