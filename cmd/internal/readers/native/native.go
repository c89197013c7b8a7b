// Package native reads daemonry.toml: one file, or several by include, into services and the
// settings of the supervisor.
//
// A file has four things at its top: include (an array of paths or globs),
// [defaults] (fields for every service of the file and of those it includes),
// [service.NAME] tables with the fields of [spec.Service], and [supervisor].
// Everything is strict: a key that is not known, a value of the wrong type, a
// service of the wrong shape are errors with file, line and column, and one run
// reports all of them.
//
// Texts are expanded when the file is read, from the reader's environment:
// ${NAME} is the variable, and it is an error if it is not set;
// ${NAME:-TEXT} is TEXT if the variable is not set or empty; $$ is a dollar
// sign; $NAME without braces is an error, and any other $ is itself. This holds
// for every text of the file but regular expressions (log.mask, and log: in
// ready). A command that is one text is split first, so that a variable never
// makes two arguments out of one; quotes do not keep from expansion.
//
// Relative paths are taken from the directory of the file they are in, which is
// also the default of chdir.
package native

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/daemonry/daemonry/cmd/internal/readers"
	"github.com/daemonry/daemonry/spec"
)

// DefaultName is the file that is looked for where none is named.
const DefaultName = "daemonry.toml"

// Bounds against a file that is not what somebody meant.
const (
	maxSize  = 8 << 20 // bytes of one file
	maxFiles = 1000    // files in one run
)

// Options say how to read. The zero value reads the environment of the process.
type Options struct {
	// LookupEnv finds the variables of ${NAME}. Nil is [os.LookupEnv].
	LookupEnv func(name string) (string, bool)
	// Judge says what is wrong with the services for who is to have them; fields that have no
	// effect are mistakes then too. Nil: nobody is, and a file is right if it is so in itself.
	Judge func([]spec.Service) spec.Problems
}

// File is what a file and those it includes say.
type File struct {
	// Path is absolute.
	Path string
	// Services in the order of the file, paths resolved, instances not yet
	// expanded (see [spec.ExpandSet]), defaults of [spec] not yet filled in.
	Services []spec.Service
	// Supervisor settings; zero where there are none.
	Supervisor Supervisor
	// Read are the paths of all files, in the order they were read.
	Read []string
}

// Read reads the file at path. The error is [Errors] if the file can be opened.
func Read(path string, opt Options) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	text, err := readers.Text(path, maxSize)
	if err != nil {
		return nil, err
	}
	return parse(path, []byte(text), opt, osFiles{})
}

// Parse reads data as if it stood in the file at path, which should be absolute
// and need not exist. Files it includes are read from disk.
func Parse(path string, data []byte, opt Options) (*File, error) {
	return parse(path, data, opt, osFiles{})
}

func parse(path string, data []byte, opt Options, files files) (*File, error) {
	if opt.LookupEnv == nil {
		opt.LookupEnv = os.LookupEnv
	}
	l := &loader{
		opt:    opt,
		files:  files,
		at:     map[string]place{},
		fields: fieldIndexes{},
		room:   maxAllKeys,
	}
	l.load(path, data, nil, nil)
	file := l.finish(path)
	if len(l.errs) > 0 {
		return nil, l.errs.sorted(l.read)
	}
	return file, nil
}
