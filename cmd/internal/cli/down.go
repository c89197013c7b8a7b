package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/control"
)

func downVerb(a *app) *verb {
	call := &fileCall{}
	return &verb{
		options: []group{{"", []option{call.fileOption()}}},
		run:     func(words []string) error { return a.down(call, words) },
	}
}

func (a *app) down(call *fileCall, words []string) error {
	if len(words) > 0 {
		return usagef("unexpected word %q", words[0])
	}
	ctx, done := untilSignal()
	defer done()
	s, err := a.reached()
	var list []control.Status
	if err == nil {
		list, err = s.Status(ctx, control.StatusRequest{})
	}
	if err != nil && !absent(err) {
		return failure(err, exitFailed, nil)
	}
	source, err := sourceOf(call.file, list)
	if err != nil {
		return err
	}
	var names []string
	for _, st := range list {
		if st.Source == source {
			names = append(names, st.Name)
		}
	}
	if len(names) == 0 {
		_, err := fmt.Fprintf(a.out, "no services of %s\n", source)
		return err
	}
	err = a.watching(ctx, s, nil, isDown, func(ctx context.Context) error {
		return s.Remove(ctx, control.Named(names...))
	})
	if err != nil {
		return unawaited(ctx, err, strings.Join(names, ", "), nil)
	}
	for _, name := range names {
		if _, err := fmt.Fprintf(a.out, "%s: removed\n", name); err != nil {
			return err
		}
	}
	return nil
}

// sourceOf is the file whose services are meant, which need not be there any more: then those that
// were taken in from it tell.
func sourceOf(given string, list []control.Status) (string, error) {
	gone := given
	if given == "" {
		gone = native.DefaultName
	}
	gone, err := filepath.Abs(gone)
	if err != nil {
		return "", err
	}
	for _, path := range []string{gone, filepath.Join(gone, native.DefaultName)} {
		if slices.ContainsFunc(list, func(s control.Status) bool { return s.Source == path }) {
			return path, nil
		}
	}
	path, err := chooseFile(given)
	if given != "" && errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return path, err
}
