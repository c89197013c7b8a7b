package supervisord

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

var nasty = []string{
	"", " ", "a  b", "'", `"`, `\`, "a\nb\r\n", "%n %(ENV_X)s %%", "$HOME `id`", " ; no comment", " # none", "é ☃ 𝄞", "\x01\xff",
	strings.Repeat("x\"'$% ", 600), "\n[program:x]\ncommand=no",
}

// TestMain: the test binary prints its arguments and its variable NASTY.
func TestMain(m *testing.M) {
	if os.Getenv("PRINT_ARGUMENTS") != "" {
		os.Stdout.WriteString(strings.Join(append(os.Args[1:], os.Getenv("NASTY")), "\x00"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// read takes a configuration apart as supervisord does.
const read = `
import configparser, json, shlex, sys
p = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
p.read(sys.argv[1])
(section,) = p.sections()
json.dump([section] + shlex.split(p.get(section, "command") % {}), sys.stdout)
`

func TestReadBack(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := spec.Service{Name: "nasty", Command: append(spec.Command{self}, nasty...)}
	s.Env = map[string]string{"PRINT_ARGUMENTS": "1", "NASTY": strings.Join(nasty, "|")}
	out, err := Target().Render([]spec.Service{s}, writers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nasty.conf")
	if err := os.WriteFile(file, out.Files[0].Content, 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := exec.Command(python, "-c", read, file).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Files[0].Content)
	}
	var words []string
	if err := json.Unmarshal(data, &words); err != nil {
		t.Fatal(err)
	}
	if words[0] != "program:nasty" {
		t.Errorf("the section is %q", words[0])
	}
	printed, err := exec.Command(words[1], words[2:]...).Output()
	if err != nil {
		t.Fatalf("%q: %v", words[1:], err)
	}
	want := append(slices.Clone(nasty), s.Env["NASTY"])
	if got := strings.Split(string(printed), "\x00"); !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}
