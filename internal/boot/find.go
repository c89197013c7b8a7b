package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// found is a file that was written for a service.
type found struct {
	path    string
	service string
	content []byte
	mode    fs.FileMode
}

// unitsOf returns the names of files, or of the service directories that they
// are in, below dir: what an init system calls the service.
func unitsOf(dir string, paths []string) []string {
	var names []string
	for _, path := range paths {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, dir+"/"), "/")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func pathsTo(files []writers.File) []string {
	return writers.Each(files, func(f writers.File) string { return f.Path })
}

func pathsOf(files []found) []string {
	return writers.Each(files, func(f found) string { return f.path })
}

// ChangedError names files that were written for services and then changed by
// somebody. They are theirs now.
type ChangedError struct {
	Paths []string
	all   []found
}

func (e *ChangedError) Error() string {
	return strings.Join(e.Paths, ", ") +
		": was changed after it was written, so it is not ours to replace or remove"
}

// ForeignError names what is in the way and was not written by us.
type ForeignError struct{ Path string }

func (e *ForeignError) Error() string { return e.Path + ": exists and was not written by us" }

// maxFile is larger than any file that we write, but for a command line of its own.
const maxFile = 4 << 20

// find lists what was written for services, sorted by path.
func (m *Machine) find(names []string) ([]found, error) {
	dir := m.files()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []found
	changed := &ChangedError{}
	for _, e := range entries {
		var files []found
		switch {
		case e.Type().IsRegular():
			files, err = markedFile(filepath.Join(dir, e.Name()), changed)
		case e.IsDir() && m.inDirectories():
			files, err = markedDir(filepath.Join(dir, e.Name()), changed)
		}
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if slices.Contains(names, f.service) && m.System.named(e.Name(), f.service) {
				list = append(list, f)
			}
		}
	}
	// What is changed counts only if it belongs to those that are asked for.
	changed.Paths = slices.DeleteFunc(changed.Paths, func(path string) bool {
		return !slices.ContainsFunc(list, func(f found) bool { return f.path == path })
	})
	if len(changed.Paths) > 0 {
		changed.all = list
		return nil, changed
	}
	return list, nil
}

// named says whether a file or directory has a name that we give to those of a
// service. A copy that somebody keeps under another one is theirs, mark or not.
func (s System) named(file, service string) bool {
	instance := "@"
	switch s {
	case Launchd:
		service = "daemonry." + service
	case FreeBSD: // identifiers alone
		underscore := strings.NewReplacer("-", "_", ".", "_", "@", "_")
		service, instance = underscore.Replace(service), "_"
	}
	rest, ok := strings.CutPrefix(file, service)
	if !ok {
		return false
	}
	rest = skipNumber(rest, instance)
	switch s {
	case Systemd: // a second socket unit has a number too
		return rest == ".service" || rest == ".timer" || rest == ".env" ||
			skipNumber(rest, "-") == ".socket"
	case Launchd:
		return rest == ".plist"
	}
	return rest == ""
}

// skipNumber returns what follows a sign and a number, if text begins with them.
func skipNumber(text, sign string) string {
	number, ok := strings.CutPrefix(text, sign)
	if rest := strings.TrimLeft(number, "0123456789"); ok && rest != number {
		return rest
	}
	return text
}

// inDirectories says that the system has a directory for each service.
func (m *Machine) inDirectories() bool { return m.System == Runit || m.System == S6 }

// markedFile returns the file if it has our mark.
func markedFile(path string, changed *ChangedError) ([]found, error) {
	fi, err := os.Lstat(path)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxFile {
		return nil, ignoreMissing(err)
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil // a file of ours could be read
	}
	if err != nil {
		return nil, ignoreMissing(err)
	}
	origin, service := writers.ReadMark(content)
	if origin == writers.Foreign || service == "" {
		return nil, nil
	}
	if origin == writers.Changed {
		changed.Paths = append(changed.Paths, path)
	}
	return []found{{path, service, content, fi.Mode().Perm()}}, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// bareFiles have no comment in them: they belong to a marked "run" beside them.
var bareFiles = []string{"down", "notification-fd", "down-signal", "timeout-kill"}

// markedDir returns the files of a service directory whose "run" has our mark.
func markedDir(dir string, changed *ChangedError) ([]found, error) {
	list, err := markedFile(filepath.Join(dir, "run"), changed)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	service := list[0].service
	for _, name := range bareFiles {
		path := filepath.Join(dir, name)
		fi, err := os.Lstat(path)
		if err != nil || !fi.Mode().IsRegular() || fi.Size() > 64 {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		list = append(list, found{path, service, content, fi.Mode().Perm()})
	}
	for _, name := range []string{
		"finish", "check", "control/t", "control/h", "data/check", "log/run",
	} {
		files, err := markedFile(filepath.Join(dir, filepath.FromSlash(name)), changed)
		if err != nil {
			return nil, err
		}
		list = append(list, files...)
	}
	slices.SortFunc(list, func(x, y found) int { return strings.Compare(x.path, y.path) })
	return list, nil
}

// without returns those that are not among the files that will be written.
func without(have []found, dir string, files []writers.File) []found {
	return slices.DeleteFunc(slices.Clone(have), func(f found) bool {
		return slices.ContainsFunc(files, func(w writers.File) bool {
			return filepath.Join(dir, filepath.FromSlash(w.Path)) == f.path
		})
	})
}

// inTheWay refuses to replace what is not ours as we wrote it, or is another
// service's.
func inTheWay(dir string, files []writers.File) error {
	var errs []error
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		var content []byte
		fi, err := os.Lstat(path)
		switch {
		case err != nil:
		case !fi.Mode().IsRegular(): // a link may lead to a file of ours
			err = &ForeignError{path}
		default:
			content, err = os.ReadFile(path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		case err == nil && f.Bare && bytes.Equal(content, f.Content):
		case err == nil && f.Bare: // the "run" beside it speaks for it
			content, err = os.ReadFile(filepath.Join(filepath.Dir(path), "run"))
			if ignoreMissing(err) == nil {
				err = mayReplace(path, content, f.Service)
			}
		case err == nil:
			err = mayReplace(path, content, f.Service)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func mayReplace(path string, marked []byte, service string) error {
	switch origin, owner := writers.ReadMark(marked); {
	case origin == writers.Foreign:
		return &ForeignError{path}
	case origin == writers.Changed:
		return &ChangedError{Paths: []string{path}}
	case owner != service:
		return fmt.Errorf("%s: was written for the service %s", path, owner)
	}
	return nil
}
