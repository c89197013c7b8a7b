package spec

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// web is a service that uses something of everything and is valid.
func web() Service {
	return Service{
		Name: "web", Description: "number {instance}", Labels: map[string]string{"tier": "front"},
		Command: Command{"./web", "--port", "80{instance}"}, Instances: 2,
		Process: Process{
			User: "www-data:www-data", Chdir: "/srv", Umask: new(Mode(0)),
			Env:     map[string]string{"N": "i{instance}"},
			EnvFile: []string{"-/etc/web.env"}, Stderr: Stream{Kind: StreamStdout},
			Rlimit: map[RlimitName]Rlimit{"nofile": {1024, 4096}},
			Nice:   new(5), Cap: []string{"net_bind_service"},
		},
		Supervision: Supervision{Success: ExitSet{Codes: []int{3}},
			Stop: StopSchedule{{"INT", Duration(time.Second)}, {"TERM", 0}}, Reload: "HUP"},
		Ready:    Probe{Kind: ProbeHTTP, Target: "http://localhost:80{instance}/"},
		Liveness: Liveness{Check: Probe{Kind: ProbeHTTP, Target: "http://localhost:80/"}},
		Requires: []string{"db"},
		Log: Log{Targets: []LogTarget{{Kind: TargetFile}, {Kind: TargetJournald}},
			Mask: []string{"secret"}},
		Sockets: []Socket{{Listen: Address{NetTCP, "127.0.0.1:80"}}},
		Limits:  Limits{Memory: 1 << 30, Swap: new(ByteSize(0)), CPUs: 1.5},
		Sandbox: Sandbox{ReadOnly: []string{"/etc"}},
	}
}

func TestZeroServiceIsUseful(t *testing.T) {
	s := Service{Name: "x", Command: Command{"true"}}
	if p := s.Validate(); p != nil {
		t.Errorf("problems: %v", p)
	}
	d := s.WithDefaults()
	if d.Restart != RestartOnFailure || *d.Timeout != DefaultTimeout ||
		d.Ready.String() != "settled" || d.Stop.String() != "TERM/10s" {
		t.Errorf("defaults: %+v", d)
	}
	if again := d.WithDefaults(); !reflect.DeepEqual(again, d) {
		t.Errorf("defaults twice differ:\n%+v\n%+v", again, d)
	}
	if one := (Service{Type: Oneshot}).WithDefaults(); one.Restart != RestartNo {
		t.Errorf("a oneshot restarts %s", one.Restart)
	}
}

// What has a default has none only in Service itself: nil pointers that stay
// nil are those that mean "inherited" or "no limit".
func TestWithDefaultsLeavesNoNil(t *testing.T) {
	allowed := []string{"Nice", "OOMScore", "Swap", "V6Only", "PrivateTmp", "PrivateDevices",
		"PrivateNetwork", "MemoryDenyWriteExecute"}
	s := Service{Sockets: []Socket{{}}}.WithDefaults()
	walk(reflect.ValueOf(s), func(name string, v reflect.Value) {
		if v.Kind() == reflect.Pointer && v.IsNil() && !slices.Contains(allowed, name) {
			t.Errorf("%s is nil", name)
		}
	})
}

// walk calls f for every field below v.
func walk(v reflect.Value, f func(name string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f(v.Type().Field(i).Name, v.Field(i))
			walk(v.Field(i), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), f)
		}
	}
}

// fill sets everything below v to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	default:
		v.SetUint(1)
	}
}

// addresses collects where the maps, slices and pointers below v lie.
func addresses(v reflect.Value, at map[uintptr]string) {
	walk(v, func(name string, f reflect.Value) {
		switch f.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			if !f.IsNil() {
				at[f.Pointer()] = name
			}
		}
	})
}

func TestCloneSharesNothing(t *testing.T) {
	var s Service
	fill(reflect.ValueOf(&s).Elem())
	c := s.Clone()
	if !reflect.DeepEqual(c, s) {
		t.Errorf("the clone differs:\n%+v\n%+v", c, s)
	}
	mine, its := map[uintptr]string{}, map[uintptr]string{}
	addresses(reflect.ValueOf(s), mine)
	addresses(reflect.ValueOf(c), its)
	for at, name := range its {
		if mine[at] != "" {
			t.Errorf("%s is shared", name)
		}
	}
}

func TestJSON(t *testing.T) {
	text, err := json.Marshal(Service{Name: "x", Command: Command{"true"}})
	if err != nil || string(text) != `{"name":"x","command":["true"]}` {
		t.Errorf("the zero value is %s, %v", text, err)
	}
	for _, s := range []Service{web(), web().WithDefaults()} {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again Service
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if !reflect.DeepEqual(again, s) {
			t.Errorf("round trip:\n%+v\n%+v", again, s)
		}
	}
}

func TestFieldsHaveNamesAndEffects(t *testing.T) {
	seen := map[string]bool{}
	v := reflect.ValueOf(Service{})
	eachField(v, v, func(f reflect.StructField, _, _ reflect.Value) {
		name := jsonName(f)
		if name == "" || seen[name] || strings.ToLower(name) != name {
			t.Errorf("%s: bad JSON name %q", f.Name, name)
		}
		seen[name] = true
		if !slices.Contains(effectNames[:], f.Tag.Get("change")) {
			t.Errorf("%s: bad change tag %q", f.Name, f.Tag.Get("change"))
		}
	})
}

func FuzzService(f *testing.F) {
	text, err := json.Marshal(web())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"name":"x","command":"sleep 1","stop":["INT/5s"],"rlimit":{"NOFILE":5}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Service
		if json.Unmarshal(text, &s) != nil {
			return
		}
		s.Instances = min(s.Instances, 3)
		problems := s.Validate()
		s.Fingerprint()
		for _, one := range s.Expand() {
			one.Resolve("/srv")
		}
		again, err := json.Marshal(s)
		if err != nil {
			if len(problems) == 0 {
				t.Fatalf("valid, but %v", err)
			}
			return
		}
		var second Service
		if err := json.Unmarshal(again, &second); err != nil && len(problems) == 0 {
			t.Fatalf("%s: %v", again, err)
		}
		if len(problems) == 0 && s.Fingerprint() != second.Fingerprint() {
			t.Fatalf("%s: changed by a round trip", again)
		}
	})
}

func TestBackoffDelay(t *testing.T) {
	var b Backoff
	for n, want := range map[int]string{
		0: "100ms", 1: "100ms", 2: "200ms", 5: "1.6s", 9: "25.6s", 10: "30s", 1000: "30s",
		math.MaxInt32: "30s",
	} {
		if got := Duration(b.Delay(n, 0)).String(); got != want {
			t.Errorf("delay %d = %s, want %s", n, got, want)
		}
	}
	if got := b.Delay(1, 0.5); got != 90*time.Millisecond {
		t.Errorf("with jitter: %s", got)
	}
	if got := (Backoff{First: new(Duration(0))}).Delay(math.MaxInt32, 0); got != 0 {
		t.Errorf("no delay is %s", got)
	}
	if b.First != nil {
		t.Error("Delay changed its receiver")
	}
}

func ExampleService_WithDefaults() {
	s := Service{Name: "web", Command: Command{"web"}}.WithDefaults()
	fmt.Println(s.Restart, s.Ready, *s.Timeout, s.Stop, *s.Umask)
	// Output: on-failure settled 30s TERM/10s 0022
}
