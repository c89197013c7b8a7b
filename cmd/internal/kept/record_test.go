package kept

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/persist"
	"github.com/daemonry/daemonry/spec"
)

// All that is recorded comes back.
func TestRecord(t *testing.T) {
	var r Record
	fill(reflect.ValueOf(&r).Elem())
	described := spec.Service{Name: r.Name, Command: spec.Command{"x"}}.WithDefaults()
	r.Spec, r.Gone = &described, false
	head, err := persist.NewHead()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	j := persist.NewJournal[Record](dir, persist.Owner{Head: head}, &persist.Ballast{})
	if err := j.Replace([]Record{r}); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	found, err := persist.Find[Record]("", dir)
	if err != nil || len(found.Records) != 1 || !reflect.DeepEqual(found.Records[r.Name], r) {
		t.Errorf("%+v has become %+v, %v", r, found, err)
	}
}

// The supervisor before this one, and the one after it, may be of another version: these names are
// what they go by.
func TestRecordNames(t *testing.T) {
	var r Record
	fill(reflect.ValueOf(&r).Elem())
	r.Spec = &spec.Service{}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		All  map[string]any
		Exit map[string]any
		Main map[string]any
	}
	err = errors.Join(json.Unmarshal(text, &got.All), json.Unmarshal(text, &got))
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range []struct {
		of   map[string]any
		want string
	}{
		{got.All, "again beside completed crashes ending environ exit failure gone held " +
			"invocation " +
			"killed left main name next reason removed restarts rewound session since source " +
			"spec started state step text unproven wanted watchdog window"},
		{got.Exit, "At Code Core OOM Signal Text Unknown Usage Words"},
		{got.Main, "pid pidfd start"},
	} {
		keys := slices.Sorted(maps.Keys(names.of))
		if got := strings.Join(keys, " "); got != names.want {
			t.Errorf("names are\n%s, were\n%s", got, names.want)
		}
	}
}

// fill gives everything in v but descriptions a value that is not its zero.
func fill(v reflect.Value) {
	switch at := reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)); {
	case v.Type() == at.Type():
		v.Set(at)
	case v.Type() == reflect.TypeFor[*spec.Service]():
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(1e9)
	case v.CanUint():
		v.SetUint(5)
	default:
		panic(fmt.Sprint("a value for ", v.Type()))
	}
}
