// Package writers holds what the writers of all targets share: files, notes, and the account that
// keeps every field from being lost.
//
// A writer turns services into the files of another manager. Rendering is
// pure: it reads no file, no clock and no environment, so it can be done on
// another machine than the one the files are for. Installing is separate.
//
// What a target cannot express is reported as a [Note]. That is not left to
// the care of each writer: an [Account] knows which fields of a service say
// something, and makes a note of each that the writer has not used.
package writers

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/daemonry/daemonry/spec"
)

// File is one file of a target.
type File struct {
	// Path is relative to the directory of the target ([Target.Dir]), with
	// "/" between its parts.
	Path string
	// Mode is the permission of the file. Scripts with an environment in them
	// are readable by their owner alone.
	Mode    fs.FileMode
	Content []byte
	// Service that the file is for: of an instance the one it is an instance of.
	// Render fills it in.
	Service string
	// Bare files carry no mark, for their format has no comments. They belong
	// to the marked file "run" beside them.
	Bare bool
}

// Note says what a target does otherwise than the service asks.
type Note struct {
	Service string `json:"service"`
	Field   string `json:"field"` // its path by JSON names, as in "log.keep"
	Text    string `json:"text"`
}

func (n Note) String() string { return n.Service + ": " + n.Field + ": " + n.Text }

// Output is what a writer makes of services.
type Output struct {
	Files []File
	Notes []Note
}

// Options are for all targets; the zero value is for the machine's own manager
// in any version that is still in use.
type Options struct {
	// User is for the manager of an ordinary user, where the target has one.
	User bool
	// Version of the target, where it is known and matters (systemd). 0 is the
	// oldest that is supported.
	Version int
}

// Target is one manager that services can be handed to.
type Target struct {
	// Name as in "daemonry export NAME".
	Name string
	// About is one line for people.
	About string
	// Dir is where the files belong on the machine; UserDir, relative to the
	// home directory, those of a user's manager. Empty: there is none.
	Dir, UserDir string
	// Scales means that the target itself multiplies a service, so instances
	// are not written one by one.
	Scales bool
	// Comment makes a comment of one line; the mark goes in it.
	Comment func(text string) string
	// Lost says why fields cannot be expressed, by their path or by the path
	// of what they are in ("log"). A field without a reason gets a plain one.
	Lost map[string]string
	// One renders one service. Its errors name the field and the reason.
	One func(*Account, Options) ([]File, error)
}

// Render renders services, which must be valid by themselves; their paths must
// be absolute ([spec.Service.Resolve]). Dependencies may name services that are
// not among them. The error names everything that no note could excuse: what is
// invalid, and texts that the format cannot carry.
func (t Target) Render(services []spec.Service, opts Options) (Output, error) {
	if opts.User && t.UserDir == "" {
		return Output{}, fmt.Errorf("%s: has no services of ordinary users", t.Name)
	}
	var out Output
	errs := Each(services, func(s spec.Service) error { return s.Validate().Err() })
	if err := errors.Join(errs...); err != nil {
		return Output{}, err
	}
	origins := services
	if !t.Scales {
		origins, services = originsOf(services), spec.ExpandSet(services)
	}
	for i, s := range services {
		a := newAccount(s, origins[i], t)
		files, err := t.One(a, opts)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", t.Name, s.Name, err))
		}
		for j := range files {
			files[j].Service = origins[i].BaseName()
		}
		out.Files = append(out.Files, files...)
		out.Notes = append(out.Notes, a.close()...)
	}
	if err := errors.Join(append(errs, t.finish(&out))...); err != nil {
		return Output{}, err
	}
	return out, nil
}

// originsOf returns, for each service of [spec.ExpandSet], the one it is an
// instance of.
func originsOf(services []spec.Service) []spec.Service {
	var origins []spec.Service
	for _, s := range services {
		origins = append(origins, slices.Repeat([]spec.Service{s}, max(1, s.Instances))...)
	}
	return origins
}

// finish puts the marks in, joins files that several services share, and
// refuses those that would overwrite each other.
func (t Target) finish(out *Output) error {
	seen := map[string]File{}
	var errs []error
	files := out.Files[:0]
	for _, f := range out.Files {
		if !f.Bare {
			f.Content = Seal(f.Content, f.Service, t.Comment)
		}
		if before, ok := seen[f.Path]; ok {
			if string(before.Content) != string(f.Content) {
				errs = append(errs, fmt.Errorf("%s: two services need a file %q", t.Name, f.Path))
			}
			continue
		}
		seen[f.Path] = f
		files = append(files, f)
	}
	out.Files = files
	slices.SortFunc(out.Files, func(x, y File) int { return cmp.Compare(x.Path, y.Path) })
	return errors.Join(errs...)
}
