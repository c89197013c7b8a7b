package spec

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestMarks(t *testing.T) {
	for in, want := range map[string]string{
		"a{instance}b{instance}": "a12b12", "{instance+18809}": "18821", "{instance-1}": "11",
		"{instance-20}": "-8", "{{instance}}": "{instance}",
		"{{instance+1}}": "{instance+1}", "{{instance}": "{12", "{instance}}": "12}",
		"{instance": "{instance", "{instance+}": "{instance+}", "{instance+1": "{instance+1",
		"{instances}": "{instances}", "{instance*2}": "{instance*2}",
		"{instance + 1}": "{instance + 1}", `{instance="a"}`: `{instance="a"}`,
		"{instance+99999999999}": "{instance+99999999999}",
		"{instance{instance}}":   "{instance12}", "": "",
	} {
		if got := withInstance(in, 12); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// What is kept comes out of the replacement as it was, whatever it is.
func TestKeptMarksStay(t *testing.T) {
	parts := []string{"{", "}", "instance", "{instance}", "+1", "-20", "/", "a"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := ""
		for range random.IntN(12) {
			text += parts[random.IntN(len(parts))]
		}
		if got := withInstance(keepMarks(text), 7); got != text {
			t.Fatalf("%q became %q by %q", text, got, keepMarks(text))
		}
	}
}

// A mark in the name of the directory is no mark; one in the field is.
func TestDirectoryWithMark(t *testing.T) {
	s := Service{Name: "a", Command: Command{"a"}, Instances: 2, Log: Log{File: "{instance}.log"}}
	s.EnvFile = []string{"-env"}
	two := s.Resolve("/srv/x {instance}").Expand()[1]
	if two.Chdir != "/srv/x {instance}" || two.Log.File != "/srv/x {instance}/2.log" ||
		two.EnvFile[0] != "-/srv/x {instance}/env" {
		t.Errorf("%+v", two)
	}
	s.Instances = 0
	if one := s.Resolve("/srv/x {instance}").Expand()[0]; one.Chdir != "/srv/x {instance}" {
		t.Errorf("without instances: %s", one.Chdir)
	}
}

func TestPortsOfAllInstances(t *testing.T) {
	port := func(text string, n int) Problems {
		return Service{Name: "a", Command: Command{"a"}, Instances: n, Ready: Probe{Kind: ProbeTCP,
			Target: "localhost:" + text}}.Validate()
	}
	if p := port("808{instance}", 9); len(p) > 0 {
		t.Error(p)
	}
	if p := port("808{instance}", 10); len(p) != 1 ||
		!strings.Contains(p[0].String(), `ready: of instance 10: "80810" is not a port`) {
		t.Error(p)
	}
	if p := port("{instance+8080}", 1000); len(p) > 0 {
		t.Error(p)
	}
}

func TestValidateSupervised(t *testing.T) {
	service := func(name string, change func(*Service)) Service {
		s := Service{Name: name, Command: Command{"a"}}
		change(&s)
		return s
	}
	file := func(path string) func(*Service) { return func(s *Service) { s.Log.File = path } }
	hourly, err := ParseSchedule("@hourly")
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		services, beside []Service
		want             string // "SERVICE.FIELD …"
	}{
		{[]Service{service("a", func(s *Service) { s.Schedule = hourly })}, nil, "a.schedule"},
		{[]Service{service("a", func(s *Service) { s.Sandbox.Level = SandboxStrict })},
			nil, "a.sandbox"},
		{[]Service{service("a", func(s *Service) { s.Sandbox.ReadOnly = []string{"/x"} })},
			nil, "a.sandbox"},
		{[]Service{service("a", func(s *Service) { s.Sandbox.Level = SandboxDefault })}, nil, ""},
		{[]Service{service("a", func(s *Service) { s.Pidfile, s.Lockfile = "/x", "/y" })}, nil,
			"a.pidfile a.lockfile"},
		{[]Service{service("a", func(s *Service) { s.Groups = []string{"adm"} })}, nil, "a.groups"},
		{[]Service{service("a", file("/x")), service("b", file("/x"))}, nil, "b.log.file"},
		{[]Service{service("a", file("/log/b.log")), service("b", file(""))}, nil, "b.log"},
		{[]Service{service("b", func(s *Service) { s.Log.ErrorFile = "/x" })},
			[]Service{service("a", file("/x"))}, "b.log.error_file"},
		{nil, []Service{service("a", file("/x")), service("b", file("/x"))}, ""},
		{[]Service{service("a", func(s *Service) { s.Instances, s.Log.File = 3, "/x" })}, nil,
			"a.log.file"},
		{[]Service{service("a", func(s *Service) { s.Instances, s.Log.File = 3, "/x{instance}" })},
			nil, ""},
		{
			[]Service{service("a", file("/x")),
				service("b", func(s *Service) {
					s.Log.File, s.Log.Targets = "/x", []LogTarget{{Kind: TargetStdout}}
				})},
			nil, "",
		},
	} {
		var got []string
		for _, p := range ValidateSupervised(c.services, c.beside, "/log") {
			got = append(got, p.Service+"."+p.Field)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
		for _, s := range c.services { // the defaults are no wish
			one := ValidateSupervised([]Service{s.WithDefaults()}, c.beside, "/log")
			if raw := ValidateSupervised([]Service{s}, c.beside, "/log"); !slices.Equal(one, raw) {
				t.Errorf("%d: with defaults %v, without %v", i, one, raw)
			}
		}
	}
}

func TestWithoutEffect(t *testing.T) {
	mode, keep, d, syslog := Mode(0o600), 3, Duration(1), []LogTarget{{Kind: TargetSyslog}}
	for want, s := range map[string]Service{
		"": {Log: Log{Targets: syslog, Facility: "user"}, Sockets: []Socket{
			{Listen: Address{NetUnix, "/x"}, Mode: &mode, Owner: "root", Backlog: 3},
		}},
		"ready":              {Type: Oneshot, Ready: Probe{Kind: ProbeSettle}},
		"liveness.interval":  {Liveness: Liveness{Interval: &d}},
		"liveness.threshold": {Liveness: Liveness{Threshold: &keep}},
		"log.facility":       {Log: Log{Facility: "user"}},
		"log.max_wait":       {Log: Log{Block: true, MaxWait: d}},
		"log.keep":           {Log: Log{Targets: syslog, Keep: &keep}},
		"log.file":           {Log: Log{Targets: syslog, File: "/x"}},
		"sockets[0].mode": {
			Sockets: []Socket{{Listen: Address{NetTCP, "localhost:1"}, Mode: &mode}},
		},
		"sockets[0].backlog": {
			Sockets: []Socket{{Listen: Address{NetUDP, "localhost:1"}, Backlog: 3}},
		},
		"log.rotate_size": {Log: Log{Targets: syslog, RotateSize: new(ByteSize)}},
	} {
		var fields []string
		for _, p := range s.WithoutEffect() {
			fields = append(fields, p.Field)
		}
		if got := strings.Join(fields, " "); got != want {
			t.Errorf("%s, want %s", fmt.Sprint(fields), want)
		}
	}
}
