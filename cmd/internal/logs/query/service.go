package query

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/spec"
)

// OfService are the files that the output of s goes to, which has its defaults and no instances.
// dir is where the logs of services are that name no file.
func OfService(s spec.Service, dir string) []Log {
	var list []Log
	add := func(path string, format line.Format, stream line.Stream) {
		if path != "" && !slices.ContainsFunc(list, func(l Log) bool { return l.Path == path }) {
			list = append(list, Log{Service: s.Name, Path: path, Format: format, Stream: stream})
		}
	}
	add(s.Stdout.Path, line.Format{}, line.Out)
	add(s.Stderr.Path, line.Format{}, line.Err)
	file, errorFile := s.LogFiles(dir)
	add(file, FormatOf(s.Log), line.Out)
	add(errorFile, FormatOf(s.Log), line.Err)
	apart := slices.ContainsFunc(list, func(l Log) bool { return l.Stream == line.Err })
	for i := range list {
		list[i].Apart = apart
	}
	return list
}

var stamps = map[spec.Timestamp]line.Stamp{
	spec.TimestampUTC:   line.UTC,
	spec.TimestampLocal: line.Local,
}

// FormatOf is how the lines of such a log are written.
func FormatOf(l spec.Log) line.Format {
	return line.Format{Stamp: stamps[l.Timestamp], Mark: l.Stream, JSON: l.Format == spec.LogJSON}
}

// Named is the log of a service in dir, where nobody can be asked what the service has chosen.
func Named(name, dir string) Log {
	return Log{Service: name, Path: filepath.Join(dir, name+spec.LogExt)}
}

// InDir are the logs in dir, each with the name of the service whose it is or was; with rotated,
// also those of which only rotated files are left.
func InDir(dir string, rotated bool) ([]Log, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+spec.LogExt))
	if err != nil {
		return nil, err
	}
	if rotated {
		older, err := layout.Dir(dir)
		if err != nil {
			return nil, err
		}
		files = slices.AppendSeq(files, maps.Keys(older))
	}
	slices.Sort(files)
	var list []Log
	for _, path := range slices.Compact(files) {
		list = append(list,
			Log{Service: strings.TrimSuffix(filepath.Base(path), spec.LogExt), Path: path})
	}
	return list, nil
}

// CheckTells is an error if the log does not say which stream a line is of.
func (l Log) CheckTells() error {
	if l.Apart || l.Format.Mark {
		return nil
	}
	return &spec.HintError{
		Message: fmt.Sprintf("%s: its log does not tell standard output from standard error",
			l.Service),
		Hint: "log.stream = true marks each line, log.error_file puts standard error apart",
	}
}

// Dated says that the lines have time stamps.
func (l Log) Dated() bool { return l.Format.JSON || l.Format.Stamp != line.NoStamp }
