package systemd

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers"
)

// unitDirs are the directories of units, those that win first, of the system and
// of users (systemd.unit(5), "Unit File Load Path"). What is generated at boot,
// and what is below a home directory, is looked for beside the unit alone.
var unitDirs = [][]string{
	{
		"/etc/systemd/system.control", "/run/systemd/system.control", "/etc/systemd/system",
		"/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
		"/lib/systemd/system",
	},
	{"/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user",
		"/usr/lib/systemd/user"},
}

// source is the text of a unit, or of a drop-in for it.
type source struct{ path, text string }

// sources reads a unit and the drop-ins that systemd merges into it, in the
// order in which it does: by the names of the files, whichever directory they
// are in.
func sources(path string, groups [][]string) ([]source, error) {
	text, err := readers.Text(path, maxSize)
	if err != nil {
		return nil, err
	}
	all := []source{{path, text}}
	names, err := dropIns(path, groups)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := readers.Text(name, maxSize)
		if err != nil {
			return nil, err
		}
		all = append(all, source{name, text}) // an empty one masks those of its name
	}
	return all, nil
}

// dropIns returns the drop-ins of a unit. Of files of one name that in the more
// special directory counts, and among those of one name the one whose unit
// directory comes first.
func dropIns(path string, groups [][]string) ([]string, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	dirs := []string{dir}
	for _, group := range groups {
		if slices.Contains(group, dir) {
			dirs = group
		}
	}
	chosen := map[string]string{} // name of the file → path
	for _, special := range dropInDirs(filepath.Base(path)) {
		for _, dir := range dirs {
			entries, err := os.ReadDir(filepath.Join(dir, special))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			for _, e := range entries {
				name := e.Name()
				_, ok := chosen[name]
				if ok || name[0] == '.' || !strings.HasSuffix(name, ".conf") || e.IsDir() {
					continue
				}
				chosen[name] = filepath.Join(dir, special, name)
			}
		}
	}
	return slices.SortedFunc(maps.Values(chosen),
		func(x, y string) int { return strings.Compare(filepath.Base(x), filepath.Base(y)) }), nil
}

// dropInDirs returns the names of the directories of drop-ins for a unit, the
// most special first: of the unit, of its template, of each beginning of its
// name that ends in a dash, of all units of its type.
func dropInDirs(unit string) []string {
	unitType := filepath.Ext(unit)
	stem, instance, _ := strings.Cut(strings.TrimSuffix(unit, unitType), "@")
	names := []string{unit}
	if instance != "" {
		names = append(names, stem+"@"+unitType)
	}
	var beginnings []string
	at := strings.LastIndexByte(strings.TrimSuffix(stem, "-"), '-')
	for ; at >= 0; at = strings.LastIndexByte(stem[:at], '-') {
		beginnings = append(beginnings, stem[:at+1])
	}
	for _, b := range beginnings {
		names = append(names, b+unitType)
	}
	if instance != "" { // not where the manual has them, but where systemd looks
		for _, b := range beginnings {
			names = append(names, b+"@"+instance+unitType, b+"@"+unitType)
		}
	}
	names = append(names, unitType[1:])
	for i := range names {
		names[i] += ".d"
	}
	return names
}
