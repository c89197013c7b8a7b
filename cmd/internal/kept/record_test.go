package kept

import (
	"fmt"
	"reflect"
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
