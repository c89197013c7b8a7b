package server

import (
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/supervise"
)

// A field of the engine's that is set but changes nothing in the API has been
// forgotten in the conversion.
func TestNothingIsLeftOut(t *testing.T) {
	a := &api{started: time.Unix(1, 0)}
	everyField(t, func(s supervise.Status) any { return a.statusOf(s) })
	everyField(t, func(x supervise.Exit) any { return *exitOf(&x) })
	everyField(t, func(ev supervise.Event) any {
		ev.Service = "s" // without one there is no state
		ev.Kind += supervise.EventState
		return eventOf(ev)
	}, "Service")
	everyField(t, func(p supervise.Planned) any { return planOf([]supervise.Planned{p})[0] })
}

func everyField[T any](t *testing.T, convert func(T) any, not ...string) {
	t.Helper()
	var zero T
	for field := range reflect.TypeFor[T]().Fields() {
		v := zero
		fill(reflect.ValueOf(&v).Elem().FieldByIndex(field.Index))
		skip := false
		for _, name := range not {
			skip = skip || name == field.Name
		}
		if same := reflect.DeepEqual(convert(v), convert(zero)); same && !skip {
			t.Errorf("%T: %s is lost", zero, field.Name)
		}
	}
}

// fill gives a value that is not zero.
func fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(77, 0)
		return
	case *syscall.Signal:
		*x = syscall.SIGTERM
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(3)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}
