package writers

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// Account is one service on its way into a target. It knows the fields that
// say something, that is, differ from their defaults. A writer calls Use for
// what it has expressed and Note for what comes out otherwise; every field that
// is left at the end becomes a note of its own.
type Account struct {
	// Service has its defaults filled in.
	spec.Service
	origin spec.Service // what it is an instance of
	target Target
	open   map[string]bool // fields that say something and are not accounted for
	said   map[string]bool
	notes  []Note
}

func newAccount(s, origin spec.Service, t Target) *Account {
	a := &Account{
		Service: s.WithDefaults(),
		origin:  origin,
		target:  t,
		open:    map[string]bool{},
		said:    map[string]bool{},
	}
	for _, field := range setFields(a.Service) {
		a.open[field], a.said[field] = true, true
	}
	// The name is in every file, and the number of an instance in the name.
	a.Use("name", "instance")
	return a
}

// Says tells whether a field differs from its default.
func (a *Account) Says(field string) bool { return a.said[field] }

// Alive returns how long the service must live until it counts as up, for a target that can only
// wait; false where readiness is another thing. Whether a program has come to rest is seen by
// nobody but our own supervisor.
func (a *Account) Alive() (spec.Duration, bool) {
	switch a.Ready.Kind {
	case spec.ProbeSettle:
		return a.Ready.Settle, true
	case spec.ProbeSettled:
		alive := a.Ready.Settle
		if alive == 0 {
			alive = spec.DefaultSettled
		}
		if a.Says("ready") {
			a.Note("ready", "is settle:%v: whether it has come to rest is not seen there", alive)
		}
		return alive, true
	}
	return 0, false
}

// Shared tells whether the i-th socket is that of all instances of a service.
func (a *Account) Shared(i int) bool {
	return a.Instance > 0 && i < len(a.origin.Sockets) &&
		a.Sockets[i].Listen == a.origin.Sockets[i].Listen
}

// Use records that fields are expressed in full.
func (a *Account) Use(fields ...string) {
	for _, field := range fields {
		delete(a.open, field)
	}
}

// Note records what the target does otherwise. The field counts as accounted
// for, whatever else is said of it.
func (a *Account) Note(field, format string, args ...any) {
	a.notes = append(a.notes, Note{a.Name, field, fmt.Sprintf(format, args...)})
	delete(a.open, field)
}

// NoteIf is Note where that is so.
func (a *Account) NoteIf(is bool, field, format string, args ...any) {
	if is {
		a.Note(field, format, args...)
	}
}

// close returns all notes, with one for each field that nobody accounted for.
func (a *Account) close() []Note {
	for _, field := range slices.Sorted(maps.Keys(a.open)) {
		a.Note(field, "%s", a.target.reason(field))
	}
	return a.notes
}

// reason looks a field up in Lost, then what the field is in.
func (t Target) reason(field string) string {
	for at := field; at != ""; at = at[:max(0, strings.LastIndexByte(at, '.'))] {
		if why, ok := t.Lost[at]; ok {
			return why
		}
	}
	return "left out: " + t.Name + " has nothing like it"
}

// Fields returns the paths of all fields of a service, sorted.
func Fields() []string {
	var all []string
	s := spec.Service{Sockets: []spec.Socket{{}}}
	eachField("", reflect.ValueOf(s), reflect.ValueOf(s),
		func(field string, _, _ reflect.Value) { all = append(all, field) })
	slices.Sort(all)
	return all
}

// setFields returns the paths of those fields of s that differ from what s
// would have by default.
func setFields(s spec.Service) []string {
	base := spec.Service{Type: s.Type, Sockets: slices.Repeat([]spec.Socket{{}}, len(s.Sockets))}
	for i := range base.Sockets {
		base.Sockets[i].Name = s.Name
	}
	var fields []string
	if base.Type != spec.Daemon {
		fields = append(fields, "type")
	}
	eachField("", reflect.ValueOf(s), reflect.ValueOf(base.WithDefaults()),
		func(field string, v, base reflect.Value) {
			if !same(field, v, base) {
				fields = append(fields, field)
			}
		})
	return fields
}

// same takes an empty list for none, but for "cap", where no capability is not
// the same as unchanged ones.
func same(field string, v, base reflect.Value) bool {
	isList := v.Kind() == reflect.Map || v.Kind() == reflect.Slice
	if isList && field != "cap" && v.Len() == 0 && base.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(v.Interface(), base.Interface())
}

// eachField visits the fields of two structs of one type side by side: what is
// embedded as if it were here, what has fields of its own under "NAME.", and
// lists of such under the same for each element.
func eachField(
	prefix string, v, base reflect.Value, visit func(field string, v, base reflect.Value),
) {
	for i := range v.NumField() {
		f, x, y := v.Type().Field(i), v.Field(i), base.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			eachField(prefix, x, y, visit)
		case isGroup(f.Type):
			eachField(prefix+name+".", x, y, visit)
		case f.Type.Kind() == reflect.Slice && isGroup(f.Type.Elem()) && !isText(f.Type):
			for i := range x.Len() {
				eachField(prefix+name+".", x.Index(i), y.Index(i), visit)
			}
		default:
			visit(prefix+name, x, y)
		}
	}
}

// isGroup tells structs with fields of their own from those that are one value
// with a text.
func isGroup(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

func isText(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) ||
		t.Implements(reflect.TypeFor[json.Marshaler]())
}
