package spec

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValidateAccepts(t *testing.T) {
	s := web()
	if p := ValidateSet([]Service{s, {Name: "db", Command: Command{"db"}}}); p != nil {
		t.Errorf("problems:\n%v", p)
	}
	for _, one := range s.Expand() {
		if p := one.Validate(); p != nil {
			t.Errorf("problems of %s:\n%v", one.Name, p)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	d := func(v time.Duration) *Duration { return new(Duration(v)) }
	for _, test := range []struct {
		want   string
		change func(*Service)
	}{
		{`name: the name is empty`, func(s *Service) { s.Name = "" }},
		{`name: "a/b" is not the name of a service`, func(s *Service) { s.Name = "a/b" }},
		{`name: "-a" is not the name`, func(s *Service) { s.Name = "-a" }},
		{`name: ".." is not the name`, func(s *Service) { s.Name = ".." }},
		{`name: name of 65 bytes is longer than 64`,
			func(s *Service) { s.Name = strings.Repeat("x", 65) }},
		{`command: there is no program to run`, func(s *Service) { s.Command = nil }},
		{`command: argument "a\x00" contains a NUL`,
			func(s *Service) { s.Command = Command{"x", "a\x00"} }},
		{`type: "forking" is not known: must be one of daemon, on`,
			func(s *Service) { s.Type = "forking" }},
		{`remain: only a oneshot remains`, func(s *Service) { s.Remain = true }},
		{`instances: -1 is not in`, func(s *Service) { s.Instances = -1 }},
		{`instances: name of the last instance`,
			func(s *Service) { s.Name = strings.Repeat("x", 63); s.Instances = 1 }},
		{`description: must be one line`, func(s *Service) { s.Description = "a\nb" }},
		{`labels: "" is empty`, func(s *Service) { s.Labels = map[string]string{"": "x"} }},
		{`schedule: never comes`, func(s *Service) { s.Schedule.Minute = 1 }},
		{`restart: a service with a schedule cannot`, func(s *Service) {
			s.Schedule, _ = ParseSchedule("@daily")
			s.Restart = RestartAlways
		}},
		{`restart: "sometimes" is not known`, func(s *Service) { s.Restart = "sometimes" }},
		{`restart: a oneshot that always`,
			func(s *Service) { s.Type, s.Restart = Oneshot, RestartAlways }},
		{`success: 256 is not an exit code`, func(s *Service) { s.Success.Codes = []int{256} }},
		{`success: "SIGTERM" is not a signal's name: write TERM`,
			func(s *Service) { s.Success.Signals = []Signal{"SIGTERM"} }},
		{`backoff.first: duration -1s is negative`,
			func(s *Service) { s.Backoff.First = d(-time.Second) }},
		{`backoff.cap: 1ms is below the first delay of 100ms`,
			func(s *Service) { s.Backoff.Cap = d(time.Millisecond) }},
		{`backoff.factor: NaN is not in`, func(s *Service) { s.Backoff.Factor = new(math.NaN()) }},
		{`backoff.jitter: 1.5 is not in`, func(s *Service) { s.Backoff.Jitter = new(1.5) }},
		{`budget.restarts: -2 is not in`, func(s *Service) { s.Budget.Restarts = new(-2) }},
		{`budget.window: duration 0s is not above zero`,
			func(s *Service) { s.Budget.Window = d(0) }},
		{`budget.retry: has no effect`,
			func(s *Service) { s.Budget = Budget{Restarts: new(-1), Retry: 1} }},
		{`budget: is never spent: the delays of 10 restarts`,
			func(s *Service) { s.Budget.Window = d(10 * time.Second) }},
		{`stop: nothing after KILL`,
			func(s *Service) { s.Stop = StopSchedule{{"KILL", 0}, {"TERM", 0}} }},
		{`stop: "kill" is not a signal's name`,
			func(s *Service) { s.Stop = StopSchedule{{"kill", 0}} }},
		{`stop_timeout: duration 0s is not above`, func(s *Service) { s.StopTimeout = d(0) }},
		{`stop_to: "group" is not known`, func(s *Service) { s.StopTo = "group" }},
		{`reload_command: excludes reload`,
			func(s *Service) { s.Reload, s.ReloadCommand = "HUP", Command{"x"} }},
		{`ready: "psychic" is not a probe`, func(s *Service) { s.Ready.Kind = "psychic" }},
		{`ready: settles for 1m, which is not within`,
			func(s *Service) { s.Ready = Probe{Kind: ProbeSettle, Settle: Duration(time.Minute)} }},
		{`timeout: duration 0s is not above zero: write "forever`,
			func(s *Service) { s.Timeout = d(0) }},
		{`watchdog: a watchdog of forever`, func(s *Service) { s.Watchdog = Forever }},
		{`notify_access: is none, but`,
			func(s *Service) { s.Ready.Kind, s.NotifyAccess = ProbeNotify, NotifyNone }},
		{`liveness.check: probe settle cannot be asked again`,
			func(s *Service) { s.Liveness.Check = Probe{Kind: ProbeSettle} }},
		{`liveness.threshold: 0 is below 1`, func(s *Service) { s.Liveness.Threshold = new(0) }},
		{`after[0]: "a b" is not the name`, func(s *Service) { s.After = []string{"a b"} }},
		{`wants[0]: a service cannot depend on itself`,
			func(s *Service) { s.Wants = []string{"x"} }},
		{`requires[1]: "y" is there twice`, func(s *Service) { s.Requires = []string{"y", "y"} }},
		{`limits.memory: is negative`, func(s *Service) { s.Limits.Memory = -1 }},
		{`limits.memory_restart: 2KiB is never reached`,
			func(s *Service) { s.Limits = Limits{Memory: 1024, MemoryRestart: 2048} }},
		{`limits.cpus: -1 is not in`, func(s *Service) { s.Limits.CPUs = -1 }},
		{`fdstore: 5000 is not in`, func(s *Service) { s.FDStore = 5000 }},
		{`orphan: "adopt" is not known`, func(s *Service) { s.Orphan = "adopt" }},
		{`log.targets[1]: none excludes`, func(s *Service) {
			s.Log.Targets = []LogTarget{{Kind: TargetFile}, {Kind: TargetNone}}
		}},
		{`log.file: path "x.log" is relative`, func(s *Service) { s.Log.File = "x.log" }},
		{`log.error_file: is the same`,
			func(s *Service) { s.Log.File, s.Log.ErrorFile = "/x", "/x" }},
		{`log.mask[0]: "(" is not a regular expression`,
			func(s *Service) { s.Log.Mask = []string{"("} }},
		{`log.facility: "local8" is not`, func(s *Service) { s.Log.Facility = "local8" }},
		{`log.rate_limit: -1/1s is not a rate`,
			func(s *Service) { s.Log.RateLimit = Rate{-1, Duration(time.Second)} }},
		{`user: "a:b:c" is not a user`, func(s *Service) { s.User = "a:b:c" }},
		{`user: ":g" is not a user`, func(s *Service) { s.User = ":g" }},
		{`pidfile: path "x.pid" is relative`, func(s *Service) { s.Pidfile = "x.pid" }},
		{`chdir: path "/a/../b" is relative`, func(s *Service) { s.Chdir = "/a/../b" }},
		{`lockfile: is the same as pidfile`,
			func(s *Service) { s.Pidfile, s.Lockfile = "/x", "/x" }},
		{`umask: 1023 is not in`, func(s *Service) { s.Umask = new(Mode(0o1777)) }},
		{`stdin: cannot be "log"`, func(s *Service) { s.Stdin.Kind = StreamLog }},
		{`stdout: cannot be "stdout"`, func(s *Service) { s.Stdout.Kind = StreamStdout }},
		{`rlimit.core: soft limit unlimited is above`,
			func(s *Service) { s.Rlimit = map[RlimitName]Rlimit{"core": {Unlimited, 0}} }},
		{`rlimit: "files" is not a resource limit`,
			func(s *Service) { s.Rlimit = map[RlimitName]Rlimit{"files": {}} }},
		{`nice: 20 is not in -20 to 19`, func(s *Service) { s.Nice = new(20) }},
		{`cap[0]: "CAP_CHOWN" is not a capability: write "chown"`,
			func(s *Service) { s.Cap = []string{"CAP_CHOWN"} }},
		{`env: "A=B" is not the name`, func(s *Service) { s.Env = map[string]string{"A=B": ""} }},
		{`env_file[0]: path is empty`, func(s *Service) { s.EnvFile = []string{"-"} }},
		{`pass_env: has no effect`, func(s *Service) { s.PassEnv = []string{"HOME"} }},
		{`sockets[0].listen: path "x.sock" is relative`,
			func(s *Service) { s.Sockets = []Socket{{Listen: Address{NetUnix, "x.sock"}}} }},
		{`sockets[0].name: "a:b" is not the name`, func(s *Service) {
			s.Sockets = []Socket{{Name: "a:b", Listen: Address{NetTCP, ":80"}}}
		}},
		{`sockets[1].listen: tcp::80 is there twice`, func(s *Service) {
			s.Sockets = []Socket{{Listen: Address{NetTCP, ":80"}}, {Listen: Address{NetTCP, ":80"}}}
		}},
		{`sockets[0].listen: fifo has neither`, func(s *Service) {
			s.Sockets = []Socket{{Listen: Address{NetFIFO, "/x"}, ReusePort: true}}
		}},
		{`on_demand: there is no socket`, func(s *Service) { s.OnDemand = true }},
		{`idle_stop: a service that stops when idl`, func(s *Service) { s.IdleStop = 1 }},
		{`idle_stop: sockets[0] has no connections`, func(s *Service) {
			s.OnDemand, s.IdleStop, s.Sockets = true, 1, []Socket{{Listen: Address{NetUDP, ":53"}}}
		}},
		{`ready: connecting to sockets[0] proves nothing`, func(s *Service) {
			s.Ready, s.Sockets = Probe{Kind: ProbeTCP, Target: "localhost:80"},
				[]Socket{{Listen: Address{NetTCP, ":80"}}}
		}},
		{`liveness.check: connecting to sockets[1] proves nothing`, func(s *Service) {
			s.Liveness.Check = Probe{Kind: ProbeUnix, Target: "/x"}
			s.Sockets = []Socket{{Listen: Address{NetTCP, ":80"}}, {Listen: Address{NetUnix, "/x"}}}
		}},
		{`sandbox.level: "max" is not known`, func(s *Service) { s.Sandbox.Level = "max" }},
		{`sandbox.read_only[0]: path "etc" is rela`,
			func(s *Service) { s.Sandbox.ReadOnly = []string{"etc"} }},
		{`sandbox.address_families[0]: "INET" is`,
			func(s *Service) { s.Sandbox.AddressFamilies = []string{"INET"} }},
	} {
		s := Service{Name: "x", Command: Command{"true"}}
		test.change(&s)
		if p := s.Validate(); len(p) != 1 || !strings.Contains(p[0].String(), test.want) {
			t.Errorf("want one problem %q, got:\n%v", test.want, p)
		}
	}
}

// nonsense fills a value with what no field means.
func nonsense(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			nonsense(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		nonsense(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		nonsense(v.Elem())
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		nonsense(key)
		nonsense(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("(\x00\n")
	case reflect.Float64:
		v.SetFloat(math.NaN())
	case reflect.Int, reflect.Int64:
		v.SetInt(-77_777)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(math.MaxUint32)
	}
}

// anything are the fields that are right with any value; a switch is one anyway.
const anything = ` instance ` // [Service.Expand] sets it

// TestEveryFieldIsJudged: whoever adds a field says which of its values are wrong.
func TestEveryFieldIsJudged(t *testing.T) {
	var judge func(prefix string, at func(*Service) reflect.Value)
	judge = func(prefix string, at func(*Service) reflect.Value) {
		typ := at(&Service{Sockets: make([]Socket, 1)}).Type()
		for i := range typ.NumField() {
			f, at := typ.Field(i), func(s *Service) reflect.Value { return at(s).Field(i) }
			path := prefix + jsonName(f)
			_, isText := reflect.New(f.Type).Interface().(encoding.TextMarshaler)
			_, isJSON := reflect.New(f.Type).Interface().(json.Marshaler)
			switch {
			case f.Anonymous:
				judge(prefix, at)
			case f.Type == reflect.TypeFor[[]Socket]():
				judge("sockets[0].", func(s *Service) reflect.Value { return at(s).Index(0) })
			case f.Type.Kind() == reflect.Struct && !isText && !isJSON:
				judge(path+".", at)
			case f.Type.Kind() != reflect.Bool && f.Type != reflect.TypeFor[*bool]() &&
				!strings.Contains(anything, " "+path+" "):
				s := Service{
					Name:    "x",
					Command: Command{"x"},
					Sockets: []Socket{{Listen: Address{NetTCP, ":80"}}},
				}
				nonsense(at(&s))
				if p := s.Validate(); !slices.ContainsFunc(p, func(p Problem) bool {
					return p.Field != "" &&
						(strings.HasPrefix(p.Field, path) || strings.HasPrefix(path, p.Field+"."))
				}) {
					t.Errorf("%s: nonsense is not refused: %v", path, p)
				}
			}
		}
	}
	judge("", func(s *Service) reflect.Value { return reflect.ValueOf(s).Elem() })
}

// Validate takes anything a Go program may put into the fields.
func TestValidateNeverPanics(t *testing.T) {
	var s Service
	fill(reflect.ValueOf(&s).Elem())
	if len(s.Validate()) < 10 {
		t.Error("nonsense has few problems")
	}
	if len(Service{}.Validate()) != 2 {
		t.Errorf("the empty service: %v", Service{}.Validate())
	}
}
