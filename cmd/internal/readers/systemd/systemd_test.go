package systemd

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/spec"
)

var update = flag.Bool("update", false, "write the golden file anew")

// Parse makes a service of the text of one unit.
func Parse(path, text string) (spec.Service, []Note, error) {
	r, err := parse([]source{{path, text}}, nil)
	if err != nil {
		return spec.Service{}, nil, err
	}
	return r.service, r.notes, nil
}

func TestRead(t *testing.T) {
	services, notes, err := Read("testdata/web.service", "testdata/db.service",
		"testdata/task@.service")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(services, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(text)
	b.WriteByte('\n')
	for _, note := range notes {
		fmt.Fprintln(&b, note)
	}
	const golden = "testdata/units.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("(- golden, + got; -update writes it anew):\n%s", d)
	}
}

// unit is the smallest unit with more lines in [Service].
func unit(lines string) string { return "[Service]\nExecStart=/bin/x\n" + lines + "\n" }

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":    "/x.service:1: there is no ExecStart=",
		"A=1": "/x.service:1: A= stands before any section",
		"[Service\nfoo\n=x": "/x.service:1: \"[Service\" is not a section\n" +
			"/x.service:2: \"foo\" is not KEY=VALUE\n/x.service:3: \"=x\" is not",
		"[Service]\nExecStart='x":  "/x.service:2: ExecStart: the quote ' is not closed",
		"[Service]\nExecStart=- ;": "/x.service:2: ExecStart: there is no program before ;",
		unit("Nice=high"):          "/x.service:3: Nice: \"high\" is not a number",
		unit("Type=magic"):         "/x.service:3: Type: \"magic\" is not known",
		unit("RestartSec=5 foo"):   "/x.service:3: RestartSec: \"foo\" is not a unit of time",
		unit("KillSignal=SIGFOO"):  "/x.service:3: KillSignal: \"SIGFOO\" is not a signal",
		unit("NoNewPrivileges=maybe\nLimitNOFILE=5:1\nCPUQuota=5\n" +
			"Environment=x"): "/x.service:3: NoNewPrivileges: \"maybe\"",
	} {
		_, _, err := Parse("/x.service", text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
	if _, _, err := Parse("/x.socket", ""); err == nil {
		t.Error("a socket unit was accepted")
	}
	if _, _, err := Read("testdata/none.service"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, `a  b`: {"a", "b"}, `"a b" 'c d'`: {"a b", "c d"}, `a"b c"d`: {"ab cd"},
		`"\"" '\''`: {`"`, "'"}, `a\ b`: {`a\`, "b"}, `\x41\102\u00e4\s`: {"ABä "},
		`\d`: {`\d`}, `""`: {""}, `\;`: {`\;`}, "\\xzz": {`\xzz`},
	} {
		if got, err := words(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{`"a`, `'`, `\`, `\x00`, `"\`} {
		if got, err := words(bad); err == nil {
			t.Errorf("%q: accepted as %q", bad, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"90": "1m30s", "5min 20s": "5m20s", "1.5h": "1h30m", "2d": "48h", "infinity": "forever",
		"100ms": "100ms", "1h30min": "1h30m", "0": "0s",
	} {
		if got, err := parseTime(in); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "x", "5 parsecs", "1e99", "1..2", "99999999999999w", "-5"} {
		if got, err := parseTime(bad); err == nil {
			t.Errorf("%q: accepted as %s", bad, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]uint64{
		"0": 0, "1024": 1024, "64K": 65536, "1.5M": 3 << 19, "2G": 2 << 30,
		"infinity": spec.Unlimited,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "-1", "x", "K", "NaN", "9999999999T", "1Ki"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q: accepted as %d", bad, got)
		}
	}
}

// What a command becomes gives the program the words that systemd would.
func TestVariables(t *testing.T) {
	for in, want := range map[string][]string{
		`$LIST`:                {"a", "*", "b"},
		`${LIST}`:              {"a * b"},
		`x${LIST}y`:            {"xa * by"},
		`$UNSET end`:           {"end"},
		`${UNSET} end`:         {"", "end"},
		`$$LIST $${LIST}`:      {"$LIST", "${LIST}"},
		`'$ a' "$(id)" $1 ${}`: {"$ a", "$(id)", "$1", "${}"},
		`a$LIST ${LIST}`:       {"a$LIST", "a * b"},
	} {
		all, err := parseCommand("/usr/bin/printf '[%%s]' " + in)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		list := all[0].words
		list[1] = `%s\0`
		argv := toCommand(list, false)
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = []string{"LIST=a * b", "PATH=/usr/bin:/bin"}
		out, err := cmd.Output()
		got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q by %q (%v), want %q", in, got, argv, err, want)
		}
	}
}

func TestKillCommand(t *testing.T) {
	for in, want := range map[string]spec.Signal{
		"/bin/kill -HUP $MAINPID": "HUP", "kill -s USR1 ${MAINPID}": "USR1",
		"/usr/bin/kill $MAINPID": "TERM", "kill -9 $MAINPID": "KILL",
		"kill -HUP 5": "", "kill": "", "pkill -HUP $MAINPID": "", "kill -a -b $MAINPID": "",
	} {
		got, ok := killCommand(strings.Fields(in))
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
}

func TestRestartLimits(t *testing.T) {
	for lines, want := range map[string]string{
		"Restart=always":                "always 100ms 1 5/10s",
		"Restart=always\nRestartSec=30": "always 30s 1 -1/", // 5 in 10 s is never reached
		"Restart=always\nRestartSec=1\nRestartSteps=2\nRestartMaxDelaySec=100": "always 1s 10 -1/",
		"Restart=on-failure\n[Unit]\nStartLimitIntervalSec=0": "on-failure " +
			"100ms 1 -1/",
	} {
		s, _, err := Parse("/x.service", unit(lines))
		if err != nil {
			t.Fatal(err)
		}
		window := ""
		if s.Budget.Window != nil {
			window = s.Budget.Window.String()
		}
		if got := fmt.Sprintf("%s %s %g %d/%s", s.Restart, s.Backoff.First, *s.Backoff.Factor,
			*s.Budget.Restarts, window); got != want {
			t.Errorf("%q: %s, want %s", lines, got, want)
		}
		if p := s.Validate(); p != nil {
			t.Errorf("%q: %v", lines, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{
		"testdata/web.service", "testdata/db.service", "testdata/task@.service",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(unit("Environment=\"A=\\x41\" ; x"))
	f.Fuzz(func(t *testing.T, text string) {
		s, notes, err := Parse("/etc/x@.service", text)
		if err != nil {
			return
		}
		if len(s.Command) == 0 {
			t.Error("accepted without a command")
		}
		for _, note := range notes {
			if note.Line < 1 || note.Text == "" || note.Key == "" {
				t.Errorf("empty note %+v", note)
			}
		}
		s.Validate() // must not panic
	})
}
