package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// chain makes services of "a:b,c" (a requires b and c), "a>b" (a is after b)
// and "a*3:b" (three instances).
func chain(texts ...string) []Service {
	var all []Service
	for _, text := range texts {
		s := Service{Command: Command{"true"}}
		head, deps, _ := strings.Cut(text, ":")
		s.Name, text, _ = strings.Cut(head, ">")
		if text != "" {
			s.After = strings.Split(text, ",")
		}
		if name, n, ok := strings.Cut(s.Name, "*"); ok {
			s.Name = name
			fmt.Sscan(n, &s.Instances)
		}
		if deps != "" {
			s.Requires = strings.Split(deps, ",")
		}
		all = append(all, s)
	}
	return all
}

func TestValidateSet(t *testing.T) {
	for _, c := range []struct {
		services []string
		want     string
	}{
		{[]string{"a:b", "b:c", "c"}, ""},
		{[]string{"a>gone"}, ""}, // order only, if it is there
		{[]string{"a:b", "b:c", "c:a"}, "a: waits for itself: a → b → c → a"},
		{[]string{"x:a", "a>b", "b:a"}, "a: waits for itself: a → b → a"},
		{[]string{"a:bd", "db"}, `a: requires[0]: there is no service "bd": did you mean "db"?`},
		{[]string{"a:postgres", "db"}, `a: requires[0]: there is no service "postgres"`},
		{[]string{"a", "a"}, `a: name: there are two services "a"`},
		{[]string{"a:web", "web*2"}, ""},
		{[]string{"a:web@2", "web*2"}, ""},
		{[]string{"a:web@3", "web*2"},
			`a: requires[0]: there is no service "web@3": did you mean "web"?`},
		{[]string{"web@1", "web*2"}, `web: name: there are two services "web@1"`},
		{
			[]string{"a*10000", "b*10000", "c*10000", "d*10000", "e*10000", "f*10000", "g*10000",
				"h*10000", "i*10000", "j*10000", "k"},
			"100001 services and instances are more than 20000",
		},
		{[]string{"a:web", "web*2:a"}, "a: waits for itself: a → web → a"},
		{[]string{"a:a"}, "a: requires[0]: a service cannot depend on itself"},
	} {
		if got := ValidateSet(chain(c.services...)).Error(); got != c.want {
			t.Errorf("%q: got %q, want %q", c.services, got, c.want)
		}
	}
}

func TestValidateSetOfExpanded(t *testing.T) {
	set := ExpandSet(chain("a:web@2,web", "web*2:db", "db"))
	if p := ValidateSet(set); p != nil {
		t.Errorf("problems: %v", p)
	}
	if got, want := set[0].Requires, []string{"web@2", "web@1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("a requires %q, want %q", got, want)
	}
}

// A chain as long as a large file neither overflows a stack nor takes its time
// squared.
func TestLongChain(t *testing.T) {
	const n = 20_000
	services := make([]Service, n)
	for i := range services {
		services[i] = Service{
			Name:     fmt.Sprint("s", i),
			Requires: []string{fmt.Sprint("s", (i+1)%n)},
		}
	}
	cycle := func(p Problem) bool { return strings.HasPrefix(p.Message, "waits for itself: ") }
	if !slices.ContainsFunc(ValidateSet(services), cycle) {
		t.Error("no cycle was found")
	}
	services[n-1].Requires = nil
	if list := ValidateSet(services); slices.ContainsFunc(list, cycle) {
		t.Errorf("a chain: %.200s", list)
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"command", "chdir", "restart", "requires", "stop", "stop_to"}
	for name, want := range map[string]string{
		"comand": "command", "commnad": "command", "chidr": "chdir", "restarts": "restart",
		"required": "requires", "": "", "zzz": "",
		strings.Repeat("x", 100): "",
	} {
		if got := Nearest(name, candidates); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestExpand(t *testing.T) {
	s := web()
	all := s.Expand()
	if len(all) != 2 {
		t.Fatalf("%d instances", len(all))
	}
	two := all[1]
	if two.Name != "web@2" || two.BaseName() != "web" || two.Instance != 2 || two.Instances != 0 {
		t.Errorf("got %q, %q, %d, %d", two.Name, two.BaseName(), two.Instance, two.Instances)
	}
	if two.Command[2] != "802" || two.Env["N"] != "i2" || two.Env[InstanceEnv] != "2" ||
		two.Ready.Target != "http://localhost:802/" || two.Description != "number 2" {
		t.Errorf("not replaced: %+v", two)
	}
	if two.Sockets[0].Name != "web" {
		t.Errorf("socket of the instance is named %q", two.Sockets[0].Name)
	}
	if !reflect.DeepEqual(s, web()) {
		t.Error("Expand changed its receiver")
	}
	if one := (Service{Name: "x@1"}).Expand(); len(one) != 1 || one[0].BaseName() != "x@1" {
		t.Errorf("without instances: %+v", one)
	}
}

// Whatever text of a process field has the mark is replaced, new fields too.
func TestExpandReplacesEverywhere(t *testing.T) {
	var s Service
	fill(reflect.ValueOf(&s).Elem())
	s.Instances = 1
	s = markTexts(s)
	one := s.Expand()[0]
	// Lists of names, patterns and the sandbox are the same for all instances.
	same := map[string]bool{
		"Name": true, "Groups": true, "PassEnv": true, "Cap": true, "After": true, "Requires": true,
		"Wants": true, "Mask": true, "Targets": true,
		"Sandbox": true, "Labels": true, "User": true,
		"Owner": true, "Facility": true, "Success": true, "Stop": true, "Sockets": true,
		"Rlimit": true,
	}
	for i := range reflect.TypeOf(one).NumField() {
		checkNoMark(t, reflect.TypeOf(one).Field(i).Name, reflect.ValueOf(one).Field(i), same)
	}
	if one.Sockets[0].Listen.Addr != "1" {
		t.Errorf("socket: %+v", one.Sockets[0])
	}
}

func markTexts(s Service) Service {
	walk(reflect.ValueOf(&s).Elem(), func(_ string, v reflect.Value) {
		if v.Kind() == reflect.String && v.Type() == reflect.TypeOf("") {
			v.SetString(instanceMark)
		}
		if v.Kind() == reflect.Slice && v.Type().Elem() == reflect.TypeOf("") {
			v.Index(0).SetString(instanceMark)
		}
	})
	s.Env = map[string]string{"X": instanceMark}
	return s
}

func checkNoMark(t *testing.T, name string, v reflect.Value, skip map[string]bool) {
	t.Helper()
	if skip[name] {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if strings.Contains(v.String(), instanceMark) {
			t.Errorf("%s keeps the mark", name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			checkNoMark(t, v.Type().Field(i).Name, v.Field(i), skip)
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkNoMark(t, name, v.Index(i), skip)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			checkNoMark(t, name, v.MapIndex(key), skip)
		}
	}
}

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Service)
		want   string
		effect Effect
	}{
		"nothing": {func(*Service) {}, "[]", EffectNone},
		"a default written": {func(s *Service) { s.Timeout = new(DefaultTimeout) },
			"[]", EffectNone},
		"empty for none": {func(s *Service) { s.After, s.Wants = []string{}, nil },
			"[]", EffectNone},
		"a label": {func(s *Service) { s.Labels["tier"] = "back" },
			"[{labels none}]", EffectNone},
		"restart policy": {func(s *Service) { s.Restart = RestartAlways },
			"[{restart live}]", EffectLive},
		"log": {func(s *Service) { s.Log.Keep = new(0) }, "[{log live}]", EffectLive},
		"command and label": {func(s *Service) { s.Command[0], s.Labels = "x", nil },
			"[{labels none} {command restart}]", EffectRestart},
		"env": {func(s *Service) { s.Env["N"] = "j" }, "[{env restart}]", EffectRestart},
		"no capability": {func(s *Service) { s.Cap = []string{} }, "[{cap restart}]",
			EffectRestart},
		"ready": {func(s *Service) { s.Ready = Probe{Kind: ProbeExec} },
			"[{ready live}]", EffectLive},
		"ready by fd": {func(s *Service) { s.Ready = Probe{Kind: ProbeFD, FD: 3} },
			"[{ready restart}]", EffectRestart},
	} {
		after := web()
		c.change(&after)
		changes := Diff(web(), after)
		if got := fmt.Sprint(changes); got != c.want || EffectOf(changes) != c.effect {
			t.Errorf("%s: %s %v, want %s", name, got, EffectOf(changes), c.want)
		}
		if same := web().Fingerprint() == after.Fingerprint(); same != (c.effect != EffectRestart) {
			t.Errorf("%s: fingerprint the same: %v", name, same)
		}
	}
}

func TestFingerprintIsStable(t *testing.T) {
	s := Service{Name: "x", Command: Command{"true"}}
	// A change here restarts every service at the next upgrade.
	if got, want := s.Fingerprint(), "ac993bfaa64914b9d4b1db861b029d96"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResolve(t *testing.T) {
	s := Service{
		Process: Process{Pidfile: "run/x.pid", EnvFile: []string{"a.env", "-../b.env", "/c.env"},
			Stdout: Stream{StreamPath, "out"}},
		Command: Command{"./x"}, Ready: Probe{Kind: ProbeUnix, Target: "x.sock"},
		Liveness: Liveness{Check: Probe{Kind: ProbeUnix, Target: "@x"}},
		Sockets: []Socket{{Listen: Address{NetUnix, "x.sock"}}, {Listen: Address{NetUnix, "@x"}},
			{Listen: Address{NetTCP, ":80"}}},
	}
	r := s.Resolve("/srv/app")
	got := fmt.Sprint(r.Chdir, " ", r.Pidfile, " ", r.EnvFile, " ", r.Stdout, " ", r.Command, " ",
		r.Ready, " ", r.Liveness.Check, " ", r.Sockets[0].Listen, " ", r.Sockets[1].Listen, " ",
		r.Sockets[2].Listen)
	want := "/srv/app /srv/app/run/x.pid [/srv/app/a.env -/srv/b.env /c.env] /srv/app/out ./x " +
		"unix:/srv/app/x.sock unix:@x unix:/srv/app/x.sock unix:@x tcp::80"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.Pidfile != "run/x.pid" || s.EnvFile[0] != "a.env" {
		t.Error("Resolve changed its receiver")
	}
	if r := (Service{Process: Process{Chdir: "sub"}}).Resolve("/srv"); r.Chdir != "/srv/sub" {
		t.Errorf("chdir %s", r.Chdir)
	}
	for in, want := range map[string]string{"": "/", "sub": "/sub", "/x": "/x"} {
		r := (Service{Process: Process{Chroot: "jail", Chdir: in}}).Resolve("/srv")
		if r.Chroot != "/srv/jail" || r.Chdir != want {
			t.Errorf("in a chroot %q is %s in %s", in, r.Chdir, r.Chroot)
		}
	}
}
