package native

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testEnv is the environment of all tests.
var testEnv = Options{LookupEnv: func(name string) (string, bool) {
	value, ok := map[string]string{"NAME": "two words", "HOME": "/home/me", "EMPTY": ""}[name]
	return value, ok
}}

// golden compares text with a file, in which the directory of this package is $DIR.
func golden(t *testing.T, path, got string) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got = strings.ReplaceAll(got, dir, "$DIR") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (- golden, + got; -update writes it anew):\n%s", path, d)
	}
}

func testdata(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return paths
}

func TestGood(t *testing.T) {
	for _, path := range testdata(t, "good/*.toml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := Read(path, testEnv)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(file, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".toml")+".json", string(text))
		})
	}
}

func TestBad(t *testing.T) {
	for _, path := range testdata(t, "bad/*.toml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := Read(path, testEnv)
			var errs Errors
			if file != nil || !errors.As(err, &errs) {
				t.Fatalf("got %v, %v", file, err)
			}
			golden(t, strings.TrimSuffix(path, ".toml")+".errors", err.Error())
		})
	}
}

func TestReadFailures(t *testing.T) {
	if _, err := Read("testdata/none.toml", testEnv); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Read("testdata", testEnv); err == nil ||
		!strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.toml")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, maxSize+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(big, testEnv); err == nil ||
		!strings.Contains(err.Error(), "larger than 8MiB") {
		t.Errorf("big: %v", err)
	}
}

// The zero Options read the environment of the process, at read time.
func TestEnvironmentOfTheProcess(t *testing.T) {
	t.Setenv("DAEMONRY_TEST_NAME", "x y")
	file, err := Parse("/srv/daemonry.toml",
		[]byte(`service.a.command = "a ${DAEMONRY_TEST_NAME}"`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(spec.Command{"a", "x y"}, file.Services[0].Command); d != "" {
		t.Error(d)
	}
	if dir := file.Services[0].Chdir; dir != "/srv" {
		t.Errorf("chdir is %s, not the directory of the file", dir)
	}
}

func TestExpand(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "${NAME}": "two words", "<${NAME}>": "<two words>", "${EMPTY}": "",
		"${EMPTY:-x}": "x", "${UNSET:-}": "", "${UNSET:-a}b}": "ab}",
		"$$": "$", "$${NAME}": "${NAME}", "a$": "a$", "$1": "$1", "$(x)": "$(x)", "$$$$": "$$",
		"{instance}": "{instance}", "${NAME:-x}": "two words",
	} {
		if got, err := expand(in, testEnv.LookupEnv); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"${": "not closed", "${}": "neither", "${a b}": "neither", "${1}": "neither",
		"${UNSET}": "UNSET is not set", "$NAME": "write ${NAME}", "${A:-${B}}": "inside another",
	} {
		if got, err := expand(in, testEnv.LookupEnv); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want an error with %q", in, got, err, want)
		}
	}
}
