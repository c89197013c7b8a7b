package native

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// decoder fills Go values from nodes and collects what does not fit.
type decoder struct {
	lookup func(string) (string, bool)
	errs   *Errors
	broken map[string]bool // fields at the top that have an error in them
	fields fieldIndexes
}

// fail reports what is wrong with the field at path.
func (d *decoder) fail(n *node, path, hint, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	d.broken[root(path)] = true
	if path != "" {
		message = path + ": " + message
	}
	if n.owner != "" {
		message = n.owner + ": " + message
	}
	d.errs.add(n.at, hint, "%s", message)
}

func (d *decoder) failErr(n *node, path string, err error) {
	if h, ok := errors.AsType[*spec.HintError](err); ok {
		d.fail(n, path, h.Hint, "%s", h.Message)
		return
	}
	d.fail(n, path, "", "%s", err)
}

// decode fills v, which can be set, with what n says.
func (d *decoder) decode(n *node, path string, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch target := v.Addr().Interface().(type) {
	case *spec.Command:
		d.command(n, path, target)
	case json.Unmarshaler:
		d.viaJSON(n, path, target)
	case encoding.TextUnmarshaler:
		if text, ok := d.text(n, path, v); ok {
			if err := target.UnmarshalText([]byte(text)); err != nil {
				d.failErr(n, path, err)
			}
		}
	default:
		d.plain(n, path, v)
	}
}

// plain fills a value that has no text form of its own.
func (d *decoder) plain(n *node, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	case reflect.Slice:
		d.slice(n, path, v)
	case reflect.String:
		if text, ok := d.text(n, path, v); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		if b, ok := n.value.(bool); ok {
			v.SetBool(b)
		} else {
			d.fail(n, path, "", "must be true or false, not %s", n.kind())
		}
	case reflect.Int:
		if i, ok := n.value.(int64); ok && int64(int(i)) == i {
			v.SetInt(i)
		} else {
			d.fail(n, path, "", "must be a whole number, not %s", n.kind())
		}
	case reflect.Float64:
		switch number := n.value.(type) {
		case float64:
			v.SetFloat(number)
		case int64:
			v.SetFloat(float64(number))
		default:
			d.fail(n, path, "", "must be a number, not %s", n.kind())
		}
	default:
		panic("native: no TOML for " + v.Type().String())
	}
}

// text returns the expanded text of a node.
func (d *decoder) text(n *node, path string, v reflect.Value) (string, bool) {
	text, ok := n.value.(string)
	if !ok {
		hint := ""
		if n.table == nil && n.list == nil {
			hint = fmt.Sprintf("write \"%v\"", n.value)
		}
		if e, ok := v.Interface().(interface{ Values() []string }); ok {
			hint = "one of " + strings.Join(e.Values(), ", ")
		}
		d.fail(n, path, hint, "must be a text, not %s", n.kind())
		return "", false
	}
	var err error
	switch v.Interface().(type) {
	case spec.Probe:
		if strings.HasPrefix(text, "log:") {
			return text, true
		}
		text, err = d.argument("cmd:", text)
	case spec.LogTarget:
		text, err = d.argument("pipe:", text)
	default:
		text, err = expand(text, d.lookup)
	}
	if err != nil {
		d.failErr(n, path, err)
		return "", false
	}
	return text, true
}

// argument expands a text; what follows prefix is a command, split first.
func (d *decoder) argument(prefix, text string) (string, error) {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return expand(text, d.lookup)
	}
	words, err := d.split(rest)
	return prefix + words.String(), err
}

// split splits a command and expands its words.
func (d *decoder) split(text string) (spec.Command, error) {
	words, err := spec.Split(text)
	if err != nil {
		return nil, err
	}
	for i, word := range words {
		if words[i], err = expand(word, d.lookup); err != nil {
			return nil, fmt.Errorf("word %q: %w", word, err)
		}
	}
	return words, nil
}

func (d *decoder) command(n *node, path string, c *spec.Command) {
	if text, ok := n.value.(string); ok {
		words, err := d.split(text)
		if err == nil && len(words) == 0 {
			err = errors.New("the command is empty")
		}
		if err != nil {
			d.failErr(n, path, err)
			return
		}
		*c = words
		return
	}
	if n.list == nil {
		d.fail(n, path, `write ["prog", "arg"] or "prog arg"`,
			"must be an array of texts or a text, not %s", n.kind())
		return
	}
	d.slice(n, path, reflect.ValueOf(c).Elem())
}

// viaJSON hands a value that has several forms to its type, which knows them.
func (d *decoder) viaJSON(n *node, path string, target json.Unmarshaler) {
	value, ok := d.jsonValue(n, path)
	if !ok {
		return
	}
	data, err := json.Marshal(value)
	if err == nil {
		err = target.UnmarshalJSON(data)
	}
	if err != nil {
		d.failErr(n, path, err)
	}
}

func (d *decoder) jsonValue(n *node, path string) (any, bool) {
	switch v := n.value.(type) {
	case string:
		text, err := expand(v, d.lookup)
		if err != nil {
			d.failErr(n, path, err)
			return nil, false
		}
		return text, true
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, true
		}
	case int64, bool:
		return v, true
	case nil:
		if n.list == nil {
			break
		}
		all := make([]any, len(n.list))
		for i, child := range n.list {
			var ok bool
			if all[i], ok = d.jsonValue(child, fmt.Sprintf("%s[%d]", path, i)); !ok {
				return nil, false
			}
		}
		return all, true
	}
	d.fail(n, path, "", "cannot be %s", n.kind())
	return nil, false
}

func (d *decoder) slice(n *node, path string, v reflect.Value) {
	if n.list == nil {
		hint := ""
		if text, ok := n.value.(string); ok {
			hint = fmt.Sprintf("write [%q]", text)
		} else if n.table != nil {
			hint = fmt.Sprintf("write [[%s]]", path)
		}
		d.fail(n, path, hint, "must be an array, not %s", n.kind())
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.list), len(n.list)))
	for i, child := range n.list {
		element := fmt.Sprintf("%s[%d]", path, i)
		if path == "log.mask" {
			d.regexp(child, element, v.Index(i))
			continue
		}
		d.decode(child, element, v.Index(i))
	}
}

// regexp fills a text that is not expanded.
func (d *decoder) regexp(n *node, path string, v reflect.Value) {
	text, ok := n.value.(string)
	if !ok {
		d.fail(n, path, "", "must be a text, not %s", n.kind())
	}
	v.SetString(text)
}

func (d *decoder) mapping(n *node, path string, v reflect.Value) {
	if n.table == nil {
		d.fail(n, path, "", "must be a table, not %s", n.kind())
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, name := range n.keys() {
		child := n.table[name]
		key := reflect.New(v.Type().Key()).Elem()
		if target, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
			if err := target.UnmarshalText([]byte(name)); err != nil {
				d.failErr(child, path, err)
				continue
			}
		} else {
			key.SetString(name)
		}
		if v.MapIndex(key).IsValid() {
			d.fail(child, path, "", "%q is there twice under different names", name)
		}
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(child, dotted(path, name), value)
		v.SetMapIndex(key, value)
	}
}

func (d *decoder) structure(n *node, path string, v reflect.Value) {
	if n.table == nil {
		d.fail(n, path, "", "must be a table, not %s", n.kind())
		return
	}
	fields := d.fields.of(v.Type())
	for _, name := range n.keys() {
		child := n.table[name]
		if index, ok := fields[name]; ok {
			d.decode(child, dotted(path, name), v.FieldByIndex(index))
			continue
		}
		d.unknown(child, name, path, fields)
	}
}

// fieldIndexes are where the fields of a type are (reflect.Value.FieldByIndex), by name, embedded
// structs included. They are gathered once for each type: a file may describe thousands of
// services.
type fieldIndexes map[reflect.Type]map[string][]int

func (x fieldIndexes) of(t reflect.Type) map[string][]int {
	fields := x[t]
	if fields == nil {
		fields = map[string][]int{}
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.Anonymous &&
				(!t.ConvertibleTo(serviceType) || !slices.Contains(notForPeople, name)) {
				fields[name] = f.Index
			}
		}
		x[t] = fields
	}
	return fields
}

var serviceType = reflect.TypeFor[spec.Service]()

// notForPeople are fields of a service that a file cannot set: the name is that
// of the table, the number comes from instances.
var notForPeople = []string{"name", "instance"}

// foreign are the names that other tools have for our fields.
var foreign = map[string]string{
	"cmd": "command", "exec": "command", "program": "command", "dir": "chdir", "directory": "chdir",
	"cwd": "chdir", "workdir": "chdir",
	"working_dir": "chdir", "working_directory": "chdir", "environment": "env",
	"depends_on": "requires", "numprocs": "instances",
	"replicas": "instances", "autorestart": "restart", "stopsignal": "stop", "stop_signal": "stop",
	"stopwaitsecs": "stop_timeout", "startsecs": "ready",
	"startretries": "budget", "stdout_logfile": "log", "healthcheck": "liveness",
	"health_check": "liveness", "ulimits": "rlimit",
}

// unknown reports a key that is no field, with the one that may be meant. That
// one counts as broken too: it is no wonder if it is missing.
func (d *decoder) unknown(n *node, name, path string, fields map[string][]int) {
	hint, meant := "", foreign[name]
	switch {
	case path == "" && name == "name" && fields["command"] != nil:
		hint = "the name is that of the table, [service.NAME]"
	case fields[meant] != nil:
		hint = fmt.Sprintf("here it is %q", meant)
	default:
		if meant = spec.Nearest(name, slices.Sorted(maps.Keys(fields))); meant != "" {
			hint = fmt.Sprintf("did you mean %q?", meant)
		}
	}
	d.broken[root(dotted(path, meant))] = true
	d.fail(n, path, hint, "unknown key %q", name)
}

// root returns the first part of a path: "sockets" of "sockets[0].listen".
func root(path string) string {
	if end := strings.IndexAny(path, ".["); end >= 0 {
		return path[:end]
	}
	return path
}

func dotted(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
