package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Effect is what a change of a field means for a service that runs.
type Effect int

const (
	// EffectNone: nothing that runs is concerned.
	EffectNone Effect = iota
	// EffectLive: the supervisor does otherwise from now on; the process is
	// not touched.
	EffectLive
	// EffectRestart: the process was born with the old value.
	EffectRestart
)

var effectNames = [...]string{EffectNone: "none", EffectLive: "live", EffectRestart: "restart"}

func (e Effect) String() string { return effectNames[e] }

// MarshalText returns [Effect.String].
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText returns.
func (e *Effect) UnmarshalText(text []byte) error {
	at := slices.Index(effectNames[:], string(text))
	if at < 0 {
		return hintf("one of "+strings.Join(effectNames[:], ", "), "%q is not an effect", text)
	}
	*e = Effect(at)
	return nil
}

// Change is a field that differs between two descriptions of a service.
type Change struct {
	Field  string `json:"field"` // its JSON name, "log" for anything in it
	Effect Effect `json:"effect"`
}

// Diff returns the fields in which two descriptions of one service differ, in
// the order of their declaration. Defaults count as if they were written.
func Diff(before, after Service) []Change {
	var changes []Change
	b, a := before.WithDefaults(), after.WithDefaults()
	eachField(reflect.ValueOf(b), reflect.ValueOf(a),
		func(f reflect.StructField, x, y reflect.Value) {
			if empty(f, x) && empty(f, y) || reflect.DeepEqual(x.Interface(), y.Interface()) {
				return
			}
			c := Change{jsonName(f), effectOf(f)}
			// The descriptor is made at birth; other probes look from outside.
			if f.Name == "Ready" && (b.Ready.Kind == ProbeFD || a.Ready.Kind == ProbeFD) {
				c.Effect = EffectRestart
			}
			changes = append(changes, c)
		})
	return changes
}

// EffectOf returns the strongest effect of changes.
func EffectOf(changes []Change) Effect {
	var most Effect
	for _, c := range changes {
		most = max(most, c.Effect)
	}
	return most
}

// Fingerprint returns a text that differs if two descriptions differ in a
// field that needs a restart. It stays the same when fields are added to
// [Service], as long as a description does not use them.
func (s Service) Fingerprint() string {
	s = s.WithDefaults()
	relevant := map[string]any{}
	v := reflect.ValueOf(s)
	eachField(v, v, func(f reflect.StructField, x, _ reflect.Value) {
		if effectOf(f) == EffectRestart && !empty(f, x) {
			relevant[jsonName(f)] = x.Interface()
		}
	})
	if s.Ready.Kind == ProbeFD {
		relevant["ready"] = s.Ready
	}
	// Every field is data with a text; maps are written in order of their keys.
	text, err := json.Marshal(relevant)
	if err != nil {
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// eachField calls f for each field of two structs, embedded ones taken apart.
func eachField(x, y reflect.Value, f func(reflect.StructField, reflect.Value, reflect.Value)) {
	for i := range x.NumField() {
		field := x.Type().Field(i)
		if field.Anonymous {
			eachField(x.Field(i), y.Field(i), f)
			continue
		}
		f(field, x.Field(i), y.Field(i))
	}
}

// empty tells whether a field says nothing. An empty map or slice is as good as
// none, but for Cap, where "no capability" is not "unchanged".
func empty(f reflect.StructField, v reflect.Value) bool {
	if v.Kind() == reflect.Map || v.Kind() == reflect.Slice && f.Name != "Cap" {
		return v.Len() == 0
	}
	return v.IsZero()
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func effectOf(f reflect.StructField) Effect {
	switch f.Tag.Get("change") {
	case "restart":
		return EffectRestart
	case "live":
		return EffectLive
	}
	return EffectNone
}
