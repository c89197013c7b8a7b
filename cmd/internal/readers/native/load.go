package native

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/readers"
	"github.com/daemonry/daemonry/spec"
)

// files is the disk; tests have another.
type files interface {
	// read returns the file's content.
	read(path string) ([]byte, error)
	// glob returns what matches, sorted. A pattern is a path if it has no
	// special characters.
	glob(pattern string) ([]string, error)
}

type osFiles struct{}

func (osFiles) glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

// read refuses what is no file: a FIFO or terminal that a glob came upon would
// be waited for without end.
func (osFiles) read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		return nil, err
	}
	text, err := readers.Text(path, maxSize)
	return []byte(text), err
}

// loader gathers the tables of one file after the other.
type loader struct {
	opt      Options
	files    files
	errs     Errors
	read     []string
	services []service
	at       map[string]place // where each service stands
	fields   fieldIndexes
	room     int // for keys; see maxAllKeys

	supervisor *node
	settings   Supervisor
}

// service is a [service.NAME] table with the defaults in it.
type service struct {
	name string
	dir  string
	tree *node
}

func (l *loader) decoder() *decoder {
	return &decoder{l.opt.LookupEnv, &l.errs, map[string]bool{}, l.fields}
}

// load reads one file; open are the files that are being read above it.
func (l *loader) load(path string, data []byte, defaults *node, open []string) {
	l.read = append(l.read, path)
	root, e := parseTree(path, data, &l.room)
	if e != nil {
		l.errs = append(l.errs, *e)
		return
	}
	if own := l.table(root, "defaults"); own != nil {
		own.own("defaults")
		// by themselves: checked even if every service overrides them, or there is none
		own.decodeAs(l.decoder(), "", new(spec.Service))
		defaults = merge(defaults, own)
	}
	l.takeServices(root, filepath.Dir(path), defaults)
	if table := l.table(root, "supervisor"); table != nil {
		l.takeSupervisor(table, filepath.Dir(path))
	}
	for _, key := range root.keys() {
		if !slices.Contains(topKeys, key) {
			l.errs.add(root.table[key].at, topHint(key), "unknown key %q", key)
		}
	}
	if list := root.table["include"]; list != nil {
		l.include(list, filepath.Dir(path), defaults, append(open, path))
	}
}

var topKeys = []string{"defaults", "include", "service", "supervisor"}

func topHint(key string) string {
	if best := spec.Nearest(key, topKeys); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if _, ok := (fieldIndexes{}).of(serviceType)[key]; ok {
		return "write it in [defaults] or in a [service.NAME]"
	}
	return "one of " + strings.Join(topKeys, ", ")
}

// table returns the table at key, nil if there is none.
func (l *loader) table(root *node, key string) *node {
	n := root.table[key]
	if n != nil && n.table == nil {
		l.errs.add(n.at, "write ["+key+"]", "%s: must be a table, not %s", key, n.kind())
		return nil
	}
	return n
}

func (l *loader) takeServices(root *node, dir string, defaults *node) {
	all := l.table(root, "service")
	if all == nil {
		return
	}
	for _, name := range all.keys() {
		table := all.table[name]
		if first, ok := l.at[name]; ok {
			l.errs.add(table.at, "", "service %s is already at %s", name, first)
			continue
		}
		l.at[name] = table.at
		if table.table == nil {
			l.errs.add(table.at, "write [service.NAME]", "service %s: must be a table, not %s",
				name, table.kind())
			continue
		}
		table.own("service " + name)
		l.services = append(l.services, service{name, dir, merge(defaults, table)})
	}
}

// merge lays over onto base: tables key by key, anything else whole.
func merge(base, over *node) *node {
	if base == nil || base.table == nil || over.table == nil {
		return over
	}
	merged := *over
	merged.table = maps.Clone(base.table)
	for key, n := range over.table {
		merged.table[key] = merge(base.table[key], n)
	}
	return &merged
}

// include reads the files that a list of paths and globs names.
func (l *loader) include(list *node, dir string, defaults *node, open []string) {
	var patterns []string
	before := len(l.errs)
	if list.decodeAs(l.decoder(), "include", &patterns); len(l.errs) > before {
		return
	}
	for i, pattern := range patterns {
		at := list.list[i].at
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(dir, pattern)
		}
		paths := []string{filepath.Clean(pattern)}
		if strings.ContainsAny(pattern, `*?[\`) {
			var err error
			if paths, err = l.files.glob(pattern); err != nil {
				l.errs.add(at, "", "include %s: %s", pattern, err)
			}
		}
		for _, path := range paths {
			l.includeOne(path, at, defaults, open)
		}
	}
}

func (l *loader) includeOne(path string, at place, defaults *node, open []string) {
	switch {
	case slices.Contains(open, path):
		cycle := append(open[slices.Index(open, path):len(open):len(open)], path)
		l.errs.add(at, "", "files include each other: %s", strings.Join(cycle, " → "))
	case slices.Contains(l.read, path):
		l.errs.add(at, "", "%s is included twice", path)
	case len(l.read) >= maxFiles:
		l.errs.add(at, "", "more than %d files", maxFiles)
	default:
		data, err := l.files.read(path)
		if err != nil {
			l.errs.add(at, "", "include: %s", err)
			return
		}
		l.load(path, data, defaults, open)
	}
}

// decodeAs decodes n into what target points to.
func (n *node) decodeAs(d *decoder, path string, target any) {
	d.decode(n, path, reflect.ValueOf(target).Elem())
}

// finish makes services of the tables and checks them as a whole.
func (l *loader) finish(path string) *File {
	file := &File{Path: path, Read: l.read, Supervisor: l.settings}
	broken := map[string]map[string]bool{}
	trees := map[string]*node{}
	for _, table := range l.services {
		d := l.decoder()
		var s spec.Service
		table.tree.decodeAs(d, "", &s)
		s.Name = table.name
		file.Services = append(file.Services, s.Resolve(table.dir))
		broken[s.Name], trees[s.Name] = d.broken, table.tree
	}
	problems := spec.ValidateSet(file.Services)
	if l.opt.Judge != nil {
		problems = append(problems, l.opt.Judge(file.Services)...)
		problems = append(problems, withoutEffect(file.Services, trees)...)
	}
	for _, problem := range problems {
		if trees[problem.Service] == nil { // about the set as a whole
			l.errs.add(place{path, 1, 1}, problem.Hint, "%s", problem.Message)
			continue
		}
		// A field that could not be decoded is empty; what that breaks is no news.
		if !broken[problem.Service][root(problem.Field)] {
			l.problem(trees[problem.Service], problem)
		}
	}
	return file
}

// withoutEffect are the fields without effect that stand in the tables of the services. In
// [defaults] they are for those that use them.
func withoutEffect(services []spec.Service, trees map[string]*node) spec.Problems {
	var list spec.Problems
	for _, s := range services {
		for _, problem := range s.WithoutEffect() {
			if n, found := trees[s.Name].find(problem.Field); found && n.owner != "defaults" {
				list = append(list, problem)
			}
		}
	}
	return list
}

// problem reports what is wrong with a service at the place of the field.
func (l *loader) problem(tree *node, problem spec.Problem) {
	n, found := tree.find(problem.Field)
	owner := tree.owner
	if found {
		owner = n.owner
	}
	message := problem.Message
	if problem.Field != "" && problem.Field != "name" {
		message = problem.Field + ": " + message
	}
	l.errs.add(n.at, problem.Hint, "%s: %s", owner, message)
}

// find returns the node at a path such as "sockets[0].listen", or the last one
// on the way to it that there is, and whether it went any way at all.
func (n *node) find(path string) (*node, bool) {
	at, found := n, false
	for part := range strings.FieldsFuncSeq(path,
		func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		next := at.table[part]
		if index, err := strconv.Atoi(part); err == nil && index >= 0 && index < len(at.list) {
			next = at.list[index]
		}
		if next == nil {
			break
		}
		at, found = next, true
	}
	return at, found
}
