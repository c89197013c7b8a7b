package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// texter is what every text type of the package has.
type texter interface {
	comparable
	fmt.Stringer
}

// accept tests that each text parses, and that its String is as given and
// parses to the same value.
func accept[T any](
	t *testing.T, parse func(string) (T, error), text func(T) string, cases map[string]string,
) {
	t.Helper()
	for in, want := range cases {
		v, err := parse(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := text(v); got != want {
			t.Errorf("%q: String = %q, want %q", in, got, want)
		}
		if again, err := parse(text(v)); err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("%q: %q parses to %v (%v), not %v", in, text(v), again, err, v)
		}
	}
}

// refuse tests that each text is refused with an error that contains the words.
func refuse[T any](t *testing.T, parse func(string) (T, error), cases map[string]string) {
	t.Helper()
	for in, want := range cases {
		v, err := parse(in)
		if err == nil {
			t.Errorf("%q: accepted as %v", in, v)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %q does not say %q", in, err, want)
		}
	}
}

func stringer[T fmt.Stringer](v T) string { return v.String() }

func TestDuration(t *testing.T) {
	accept(t, ParseDuration, stringer, map[string]string{
		"0s": "0s", "0": "0s", "1.5s": "1.5s", "90m": "1h30m", "2h0m0s": "2h", "10m": "10m",
		"100ms": "100ms", "1h0m5s": "1h0m5s", "forever": "forever",
	})
	refuse(t, ParseDuration, map[string]string{
		"": "not a duration", "10": `a number needs a unit: "10s"`, "7d": "a day is 24h",
		"2w":  "a week is 168h",
		"-1s": "negative", "9223372036854775807ns": "forever", "1e400h": "not a duration",
		"soon": "write it like",
	})
	var d Duration
	err := json.Unmarshal([]byte("30"), &d)
	if err == nil || !strings.Contains(err.Error(), `"30s"`) {
		t.Errorf("a bare number: %v", err)
	}
}

func TestByteSize(t *testing.T) {
	accept(t, ParseByteSize, stringer, map[string]string{
		"64MiB": "64MiB", "10MB": "10MB", "0B": "0B", "1.5KiB": "1536B", "1500B": "1500B",
		"1024KiB": "1MiB", "2 GB": "2GB", "7EiB": "7EiB", "1kB": "1KB",
	})
	refuse(t, ParseByteSize, map[string]string{
		"": "not a size", "64M": `"64MiB" (powers of 1024) or "64MB"`, "64": "write it like",
		"-1B":  "not a size",
		"8EiB": "too large", "0.3B": "whole number", "1e3MB": "not a size", "1..2MB": "not a size",
		".MiB": "not a size", strings.Repeat("9", 40) + "MB": "not a size",
	})
	var b ByteSize
	if err := json.Unmarshal([]byte("512"), &b); err != nil || b != 512 {
		t.Errorf("512: %v, %v", b, err)
	}
	if err := json.Unmarshal([]byte("-1"), &b); err == nil {
		t.Error("-1 was accepted")
	}
}

func TestMode(t *testing.T) {
	accept(t, ParseMode, stringer, map[string]string{"0": "0000", "0640": "0640", "640": "0640",
		"0o22": "0022", "1777": "1777"})
	refuse(t, ParseMode, map[string]string{"": "octal", "888": "octal", "10000": "octal",
		"-1": "octal", "rw-r--r--": "octal", "0x1": "octal", "00000000640": "octal"})
	var m Mode
	err := json.Unmarshal([]byte("640"), &m)
	if err == nil || !strings.Contains(err.Error(), `"0640"`) {
		t.Errorf("a bare number: %v", err)
	}
}

func TestSignal(t *testing.T) {
	text := func(s Signal) string { return string(s) }
	accept(t, ParseSignal, text, map[string]string{
		"TERM": "TERM", "SIGTERM": "TERM", "sigterm": "TERM", "15": "TERM", "1": "HUP",
		"10": "USR1", "17": "CHLD", "34": "RTMIN",
		"RTMIN+3": "RTMIN+3", "SIGRTMAX": "RTMIN+30", "RTMAX-1": "RTMIN+29", "IOT": "ABRT",
	})
	refuse(t, ParseSignal, map[string]string{
		"": "not a signal", "0": "no signal 0", "-9": "no signal -9", "33": "no signal 33",
		"65":       "no signal 65",
		"RTMIN+31": "not a signal", "RTMAX-99": "not a signal", "TERMINATE": "not a signal",
		"SIGSIGHUP": "not a signal", "RTMIN+-1": "not a signal",
	})
	for _, name := range SignalNames() {
		if n := linuxSignals[name]; linuxSignalNames[n] != name {
			t.Errorf("two signals have the number %d", n)
		}
	}
}

func TestRlimit(t *testing.T) {
	accept(t, ParseRlimit, stringer, map[string]string{
		"1024": "1024", "1024:4096": "1024:4096", "unlimited": "unlimited",
		"0:infinity": "0:unlimited", "64MiB": "67108864", "18446744073709551615": "unlimited",
	})
	refuse(t, ParseRlimit, map[string]string{
		"": "not a limit", ":": "not a limit", "2:1": "above hard", "-1": "not a limit",
		"unlimited:5": "above hard", "1:2:3": "not a limit",
	})
	var m map[RlimitName]Rlimit
	if err := json.Unmarshal([]byte(`{"RLIMIT_NOFILE": 64, "core": "0:unlimited"}`),
		&m); err != nil {
		t.Fatal(err)
	}
	want := (map[RlimitName]Rlimit{"nofile": {64, 64}, "core": {0, math.MaxUint64}})
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got %v", m)
	}
	if err := json.Unmarshal([]byte(`{"files": 64}`), &m); err == nil {
		t.Error("an unknown limit was accepted")
	}
}

func TestProbe(t *testing.T) {
	accept(t, ParseProbe, stringer, map[string]string{
		"exec": "exec", "notify": "notify", "settled": "settled", "settled:1s": "settled:1s",
		"settle:100ms": "settle:100ms", "settle:0s": "settle:0s", "fd:3": "fd:3",
		"tcp:localhost:80": "tcp:localhost:80", "tcp:[::1]:http": "tcp:[::1]:http",
		"unix:/run/x.sock": "unix:/run/x.sock", "unix:@abstract": "unix:@abstract",
		"http://127.0.0.1:8080/health": "http://127.0.0.1:8080/health",
		"http:http://h/":               "http://h/", "http:https://h/": "https://h/",
		"https://h/x?a=b":     "https://h/x?a=b",
		"cmd:test -e  '/x y'": "cmd:test -e '/x y'", "log:^ready: .*$": "log:^ready: .*$",
		"file:/run/x:y":              "file:/run/x:y",
		"tcp:localhost:80{instance}": "tcp:localhost:80{instance}",
	})
	refuse(t, ParseProbe, map[string]string{
		"": "not a probe", "ready": "not a probe", "exec:now": "takes nothing",
		"notify:": "takes nothing", "settle:": "not a duration", "settle:forever": "cannot settle",
		"fd:x": "not a descriptor", "fd:2": "0, 1 and 2", "fd:99999": "cannot tell",
		"tcp:80": "no port", "tcp::80": "no host", "tcp:h:0": "not a port",
		"tcp:h:65536": "not a port",
		"tcp:::1:80":  "brackets", "tcp:[::1:80": "not an address", "unix:": "needs something",
		"http:localhost:80/": "not an http", "http://": "not an http", "https:": "not an http",
		"cmd:": "needs something", "cmd:a | b": "unquoted", "log:": "needs something",
		"log:(": "missing closing", "file:": "needs something",
	})
	if argv := (Probe{Kind: ProbeCmd, Target: "a 'b c'"}).Argv(); !reflect.DeepEqual(argv,
		Command{"a", "b c"}) {
		t.Errorf("Argv = %q", argv)
	}
}

// TestProbeForms: what is a constant of a kind is one that can be written, read and checked.
func TestProbeForms(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "probe.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "ProbeKind" {
				kinds = append(kinds, strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
			}
		}
		return true
	})
	var written []string
	for _, f := range probeForms {
		written = append(written, string(f.kind))
	}
	if len(kinds) == 0 || !reflect.DeepEqual(kinds, written) {
		t.Errorf("the constants are %q, the forms those of %q", kinds, written)
	}
	arguments := map[string]string{
		argDuration: "2s", argFD: "5", argAddress: "localhost:80", argPath: "x",
		argURL: "http://h/", argCommand: "test -e x", argRegexp: "^x$",
	}
	for _, form := range ProbeForms() {
		kind, word, _ := strings.Cut(form, ":")
		if word != "" && arguments[word] == "" {
			t.Errorf("%s: no argument is known for it", form)
		}
		p, err := ParseProbe(strings.Replace(form, word, arguments[word], 1))
		if err != nil || string(p.Kind) != kind {
			t.Errorf("%s: %v, %v", form, p, err)
		}
		roundTrip(t, p.String(), ParseProbe)
		s := Service{Name: "a", Command: Command{"a"}, Ready: p}.Resolve("/d")
		if word == argPath && s.Ready.Target != "/d/x" {
			t.Errorf("%s is resolved to %s", form, s.Ready.Target)
		}
		if err := s.Validate().Err(); err != nil {
			t.Errorf("%s: %v", form, err)
		}
	}
}

func TestStream(t *testing.T) {
	accept(t, ParseStream, stringer, map[string]string{
		"null": "null", "log": "log", "inherit": "inherit", "stdout": "stdout", "/dev/null": "null",
		"./log": "./log", "/var/log/x": "/var/log/x",
		"truncate:x": "truncate:x", "append:x": "x", "append:log": "append:log",
		"append:truncate:x": "append:truncate:x",
	})
	refuse(t, ParseStream, map[string]string{
		"": "not a stream", "truncate:": "not a stream", "a\x00b": "not a stream",
	})
}

func TestAddress(t *testing.T) {
	accept(t, ParseAddress, stringer, map[string]string{
		"tcp::80": "tcp::80", "tcp:[::1]:80": "tcp:[::1]:80", "udp:0.0.0.0:53": "udp:0.0.0.0:53",
		"unix:/run/x": "unix:/run/x", "unix:@x": "unix:@x",
		"unixgram:x": "unixgram:x", "unixpacket:x": "unixpacket:x", "fifo:/x": "fifo:/x",
	})
	refuse(t, ParseAddress, map[string]string{
		"": "not a socket address", "80": "not a socket address", "tcp:80": "no port",
		"tcp:h:http": "not a port", "tcp:h:": "not a port", "unix:": "needs a path",
		"unix:@":  "needs a path",
		"fifo:@x": "needs a path", "unix:/" + strings.Repeat("x", 107): "longer than 107",
		"sctp:h:1": "not a socket address",
	})
}

func TestLogTarget(t *testing.T) {
	accept(t, ParseLogTarget, stringer, map[string]string{
		"file": "file", "journald": "journald", "syslog": "syslog", "stdout": "stdout",
		"none": "none", "syslog:unix:/dev/log": "syslog:unix:/dev/log",
		"syslog:udp:h:514": "syslog:udp:h:514", "syslog:tls:[::1]:6514": "syslog:tls:[::1]:6514",
		"pipe:logger  -t x": "pipe:logger -t x",
	})
	refuse(t, ParseLogTarget, map[string]string{
		"": "not a log target", "file:/x": "not a log target", "syslog:": "not a log target",
		"syslog:udp": "no port", "syslog:sctp:h:1": "not a log target",
		"pipe:": "empty", "pipe:a > b": "unquoted",
	})
}

func TestRate(t *testing.T) {
	accept(t, ParseRate, stringer,
		map[string]string{"1000/1s": "1000/1s", "10/s": "10/1s", "5/90s": "5/1m30s"})
	refuse(t, ParseRate, map[string]string{
		"": "not a rate", "10": "not a rate", "0/1s": "not a rate", "-1/1s": "not a rate",
		"1/0s": "not a rate", "1/forever": "not a rate", "x/1s": "not a rate",
	})
	if got := (Rate{4, Duration(time.Second)}).Interval(); got != 250*time.Millisecond {
		t.Errorf("Interval = %s", got)
	}
}

func TestStopSchedule(t *testing.T) {
	accept(t, ParseStopSchedule, stringer, map[string]string{
		"TERM": "TERM", "SIGINT/5s/15/10s/KILL": "INT/5s/TERM/10s/KILL",
		"QUIT/forever": "QUIT/forever", "INT/TERM": "INT/TERM",
	})
	refuse(t, ParseStopSchedule, map[string]string{
		"": "not a signal", "10s": "not a signal", "TERM/10": `write "10s"`,
		"TERM/": "not a signal", "TERM/0s": "no effect", "TERM/5s/5s": "not a signal",
	})
	var s StopSchedule
	if err := json.Unmarshal([]byte(`["INT/5s", "TERM"]`), &s); err != nil ||
		s.String() != "INT/5s/TERM" {
		t.Errorf("array: %v, %v", s, err)
	}
	for _, bad := range []string{`[]`, `[1]`, `1`, `{}`} {
		if err := json.Unmarshal([]byte(bad), &s); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestExitSet(t *testing.T) {
	var e ExitSet
	if err := json.Unmarshal([]byte(`[3, "SIGTERM", 143]`), &e); err != nil {
		t.Fatal(err)
	}
	if !e.HasCode(0) || !e.HasCode(3) || e.HasCode(4) || !e.HasSignal("TERM") ||
		e.HasSignal("INT") {
		t.Errorf("got %+v", e)
	}
	if text, err := json.Marshal(e); err != nil || string(text) != `[3,143,"TERM"]` {
		t.Errorf("marshals to %s, %v", text, err)
	}
	for _, bad := range []string{
		`3`, `"TERM"`, `[-1]`, `[256]`, `[1.5]`, `["15"]`, `["x"]`, `[null]`, `[[]]`,
	} {
		if err := json.Unmarshal([]byte(bad), &e); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestSchedule(t *testing.T) {
	accept(t, ParseSchedule, stringer, map[string]string{
		"* * * * *": "* * * * *", "@daily": "0 0 * * *",
		"*/15 8-18/2 1,15 jan-mar mon-fri": "0,15,30,45 8,10,12,14,16,18 1,15 1-3 1-5",
		"5/20 * * * 7":                     "5,25,45 * * * 0", "0 0 * * 5-7": "0 0 * * 0,5-6",
		"0 0 * DEC 0-7": "0 0 * 12 *", "5-5/10 0 1 1 *": "5 0 1 1 *",
		"1-5/9223372036854775807 * * * *": "1 * * * *",
	})
	refuse(t, ParseSchedule, map[string]string{
		"": "has 0 fields", "* * * *": "has 4 fields", "60 * * * *": "not a minute",
		"* 24 * * *": "not a hour", "* * 0 * *": "not a day of month", "* * * 13 *": "not a month",
		"* * * * 8": "not a day of week", "5-1 * * * *": "not a minute",
		"*/0 * * * *": "not a minute", "*/x * * * *": "not a minute", ", * * * *": "not a minute",
		"-1 * * * *": "not a minute",
		"@reboot":    "autostart", "@often": "has 1 fields", "1- * * * *": "not a minute",
	})
	s, _ := ParseSchedule("0 0 1 * *")
	if day, weekday := s.Restricted(); !day || weekday {
		t.Errorf("Restricted = %v, %v", day, weekday)
	}
}

func TestHintError(t *testing.T) {
	_, err := ParseDuration("10")
	var h *HintError
	if !errors.As(err, &h) || h.Message != `"10" is not a duration` ||
		h.Hint != `a number needs a unit: "10s"` {
		t.Errorf("got %#v", err)
	}
}

// FuzzText: whatever a parser takes, its String is taken too and means the same.
func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"1h30m", "64MiB", "0640", "RTMIN+3", "1:unlimited", "settle:1s", "http:http://h/",
		"cmd:'a b' c", "truncate:append:x", "tcp:[::1]:80",
		"syslog:udp:h:1", "pipe:a b", "10/1s", "INT/5s/KILL", "*/5 1-3 * jan mon",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		roundTrip(t, text, ParseDuration)
		roundTrip(t, text, ParseByteSize)
		roundTrip(t, text, ParseMode)
		roundTrip(t, text, ParseRlimit)
		roundTrip(t, text, ParseProbe)
		roundTrip(t, text, ParseStream)
		roundTrip(t, text, ParseAddress)
		roundTrip(t, text, ParseLogTarget)
		roundTrip(t, text, ParseRate)
		roundTrip(t, text, ParseSchedule)
		if s, err := ParseSignal(text); err == nil {
			if again, err := ParseSignal(string(s)); err != nil || again != s {
				t.Errorf("signal %q: %q, %v", s, again, err)
			}
		}
		if s, err := ParseStopSchedule(text); err == nil {
			if again, err := ParseStopSchedule(s.String()); err != nil ||
				!reflect.DeepEqual(again, s) {
				t.Errorf("stop %q: %q, %v", s, again, err)
			}
		}
	})
}

func roundTrip[T texter](t *testing.T, text string, parse func(string) (T, error)) {
	t.Helper()
	v, err := parse(text)
	if err != nil {
		return
	}
	if again, err := parse(v.String()); err != nil || again != v {
		t.Errorf("%T %q: %q parses to %v, %v", v, text, v, again, err)
	}
}
