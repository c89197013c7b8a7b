package supervise

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
	var r record
	fill(reflect.ValueOf(&r).Elem())
	described := spec.Service{Name: r.Name, Command: spec.Command{"x"}}.WithDefaults()
	r.Spec, r.Gone = &described, false
	head, err := persist.NewHead()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	j := persist.NewJournal[record](dir, persist.Owner{Head: head}, &persist.Ballast{})
	if err := j.Replace([]record{r}); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	found, err := persist.Find[record]("", dir)
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

// The state files are never ahead of the journal, whatever is written of a service.
func TestStateFilesAreBehindTheJournal(t *testing.T) {
	bubble(t, func(b *bench) {
		dir := t.TempDir()
		head, err := persist.NewHead()
		if err != nil {
			t.Fatal(err)
		}
		b.inOwner(func() {
			b.keepJournal(dir, head)
			b.journal.Write(everything)
		})
		b.state.replace = func(f persist.StateFile) error {
			found, err := persist.Find[record]("", dir)
			if wants, ok := f.Content.(storedWants); ok && err == nil {
				for _, name := range wants.Wanted {
					if !found.Records[name].Wanted {
						t.Errorf("%s: wanted is on disk before the journal says so", name)
					}
				}
			}
			b.writes++
			return err
		}
		for i := range 5 {
			one := plain(fmt.Sprint("s", i), func(s *spec.Service) { s.Ready = spec.Probe{Kind: spec.ProbeExec} })
			if _, err := b.Apply(b.Context(), Apply{Services: []spec.Service{one}}); err != nil {
				t.Error(err)
			}
		}
		if b.writes < 10 {
			t.Errorf("%d files were written", b.writes)
		}
	})
}
