package all

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/cmd/internal/readers/native"
	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// examples are services as people have them.
func examples(t testing.TB) []spec.Service {
	t.Helper()
	at := func(text string) spec.Schedule {
		s, err := spec.ParseSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return []spec.Service{
		{
			Name: "web", Description: "The shop", Command: spec.Command{"./web", "--port", "8080"},
			Process: spec.Process{
				User: "www-data", Chdir: "/srv/shop", EnvFile: []string{"-/etc/default/shop"},
				Env:    map[string]string{"GREETING": "hello, world"},
				Rlimit: map[spec.RlimitName]spec.Rlimit{"nofile": {Soft: 4096, Hard: 65536}},
			},
			Ready: spec.Probe{Kind: spec.ProbeHTTP, Target: "http://127.0.0.1:8080/health"},
			Liveness: spec.Liveness{
				Check: spec.Probe{Kind: spec.ProbeTCP, Target: "127.0.0.1:8080"},
			},
			Requires: []string{"db"}, Wants: []string{"cache"}, Instances: 2,
			Supervision: spec.Supervision{Reload: "HUP"},
			Limits:      spec.Limits{Memory: 256 << 20, CPUs: 2},
		},
		{
			Name: "db", Command: spec.Command{"/usr/bin/db", "serve"},
			Process: spec.Process{User: "db:db"},
			Ready:   spec.Probe{Kind: spec.ProbeCmd, Target: "/usr/bin/db ping"},
			Supervision: spec.Supervision{Restart: spec.RestartAlways, Stop: spec.StopSchedule{
				{Signal: "INT", Wait: spec.Duration(30 * time.Second)}, {Signal: "TERM"},
			}},
			Log: spec.Log{File: "/var/log/db/db.log", Keep: new(9)},
		},
		{Name: "migrate", Command: spec.Command{"/usr/bin/migrate"}, Type: spec.Oneshot,
			Remain: true, Requires: []string{"db"}},
		{Name: "backup", Command: spec.Command{"/usr/bin/backup", "--all"}, Type: spec.Oneshot,
			Schedule: at("30 4 * * 1-5")},
		{
			Name: "notify", Command: spec.Command{"/usr/bin/notifier"},
			Ready: spec.Probe{Kind: spec.ProbeNotify}, Watchdog: spec.Duration(20 * time.Second),
			Sockets: []spec.Socket{
				{Name: "http", Listen: spec.Address{Network: spec.NetTCP, Addr: ":8081"}},
				{
					Name:   "control",
					Listen: spec.Address{Network: spec.NetUnix, Addr: "/run/notifier.sock"},
					Mode:   new(spec.Mode(0o660)),
				},
			},
			Process: spec.Process{Cap: []string{"net_bind_service"}, NoNewPrivs: true},
			Sandbox: spec.Sandbox{Level: spec.SandboxStrict},
		},
		{
			Name: "nasty_1.x", Command: spec.Command{"/opt/a b/prog", "", "it's", `say "hi"`,
				"100%", "$HOME ${HOME}", `back\slash`, "two\nlines", "é ☃", "a;b # c ; d"},
			Process: spec.Process{Env: map[string]string{"SPACED": " a  b ", "QUOTES": `'"`,
				"PERCENT": "%n %% $(X)", "LINES": "1\n2\n", "PATH": "/opt/bin:/bin"}},
		},
	}
}

// exampleFile is examples/daemonry.toml, as if it stood where it is the same for everybody.
func exampleFile(t testing.TB) []spec.Service {
	t.Helper()
	data, err := os.ReadFile("../../../../examples/daemonry.toml")
	if err != nil {
		t.Fatal(err)
	}
	file, err := native.Parse("/srv/examples/daemonry.toml", data,
		native.Options{LookupEnv: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	return file.Services
}

// TestGolden: a change of what is written is seen in review.
func TestGolden(t *testing.T) {
	t.Run("services", func(t *testing.T) { golden(t, "golden", examples(t)) })
	t.Run("example", func(t *testing.T) { golden(t, "example", exampleFile(t)) })
}

func golden(t *testing.T, below string, services []spec.Service) {
	for _, target := range Targets() {
		t.Run(target.Name, func(t *testing.T) {
			dir := filepath.Join("testdata", below, target.Name)
			out, err := target.Render(services, writers.Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"NOTES": notesText(out.Notes)}
			for _, f := range out.Files {
				// The mode is part of what is written.
				want[f.Path] = fmt.Sprintf("mode %04o\n%s", f.Mode, f.Content)
			}
			if *update {
				writeGolden(t, dir, want)
			}
			got := readGolden(t, dir)
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("%s (-) and what is written (+) differ; -update takes it over:\n%s",
					dir, diff)
			}
			for _, f := range out.Files {
				if origin, service := writers.ReadMark(f.Content); !f.Bare &&
					(origin != writers.Ours || service != f.Service || service == "") {
					t.Errorf("%s: the mark does not hold: %v, for %q", f.Path, origin, service)
				}
			}
		})
	}
}

func notesText(notes []writers.Note) string {
	var b strings.Builder
	for _, n := range notes {
		b.WriteString(n.String() + "\n")
	}
	return b.String()
}

func writeGolden(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readGolden(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestMarkName: any name passes through the comment of any format.
func TestMarkName(t *testing.T) {
	for _, target := range Targets() {
		for _, name := range []string{"a--b", "a---b--", "x", "a.b_c@d"} {
			content := writers.Seal([]byte("x\n"), name, target.Comment)
			if target.Name == "launchd" && strings.Count(string(content), "--") != 2 {
				t.Errorf("no comment of XML: %s", content)
			}
			if origin, got := writers.ReadMark(content); origin != writers.Ours || got != name {
				t.Errorf("%s: %q became %q (%v)", target.Name, name, got, origin)
			}
		}
	}
}

// TestMark tells what is ours from what a person changed or wrote.
func TestMark(t *testing.T) {
	out, err := Targets()[0].Render(examples(t), writers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content := out.Files[0].Content
	for _, test := range []struct {
		content []byte
		want    writers.Origin
	}{
		{content, writers.Ours},
		{append(slices.Clone(content), "Nice=5\n"...), writers.Changed},
		{[]byte("[Service]\nExecStart=/bin/x\n"), writers.Foreign},
		{nil, writers.Foreign},
	} {
		if got, _ := writers.ReadMark(test.content); got != test.want {
			t.Errorf("%.60q: %v, want %v", test.content, got, test.want)
		}
	}
}
