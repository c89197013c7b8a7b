package supervisord

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/atomicfile"
	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

var nasty = []string{
	"", " ", "a  b", "'", `"`, `\`, "a\nb\r\n", "%n %(ENV_X)s %%", "$HOME `id`", " ; no comment",
	" # none", "é ☃ 𝄞", "\x01\xff", strings.Repeat("x\"'$% ", 600), "\n[program:x]\ncommand=no",
}

// TestMain: the test binary prints its arguments and its variable NASTY, to the file
// PRINT_ARGUMENTS if that is one.
func TestMain(m *testing.M) {
	text := strings.Join(append(os.Args[1:], os.Getenv("NASTY")), "\x00")
	switch to := os.Getenv("PRINT_ARGUMENTS"); {
	case filepath.IsAbs(to):
		if err := atomicfile.Write(to, []byte(text), 0o600); err != nil {
			panic(err)
		}
		os.Exit(0)
	case to != "":
		os.Stdout.WriteString(text)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// takeApart takes a configuration apart as supervisord does.
const takeApart = `
import configparser, json, shlex, sys
p = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
p.read(sys.argv[1])
(section,) = p.sections()
lexer = shlex.shlex(p.get(section, "environment") % {}) # supervisor.datatypes.dict_of_key_value_pairs
lexer.wordchars += "/.+-():"
name, _, value = lexer
json.dump([section, name + "=" + value.strip('"')] + shlex.split(p.get(section, "command") % {}), sys.stdout)
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
	data, err := exec.Command(python, "-c", takeApart, file).Output()
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
	cmd := exec.Command(words[2], words[3:]...)
	cmd.Env = append(os.Environ(), words[1])
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", words[2:], err)
	}
	want := append(slices.Clone(nasty), s.Env["NASTY"])
	if got := strings.Split(string(printed), "\x00"); !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// TestSupervisord: under the real one everything arrives as it was given, what
// fails is started again, and a stop is by the signal asked for.
func TestSupervisord(t *testing.T) {
	server, err := exec.LookPath("supervisord")
	if err != nil {
		t.Skip("there is no supervisord")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	services := []spec.Service{
		{
			Name: "nasty", Command: append(spec.Command{self}, nasty...), Type: spec.Oneshot,
			Process: spec.Process{Env: map[string]string{"PRINT_ARGUMENTS": dir + "/printed",
				"NASTY": strings.Join(nasty, "|")}},
		},
		{
			Name: "again",
			Command: spec.Command{"/bin/sh", "-c", `echo >>` + dir + `/runs; [ "$(wc -l <` +
				dir + `/runs)" -ge 2 ] || exit 3; exec sleep 600`},
			Supervision: spec.Supervision{Success: spec.ExitSet{Codes: []int{4}}},
			Ready:       spec.Probe{Kind: spec.ProbeExec},
		},
		{
			Name: "asked", Command: spec.Command{"/bin/sh", "-c", `trap 'echo >` + dir +
				`/interrupted; exit' INT; echo >` + dir + `/trapped; while :; do sleep 0.05; done`},
			Supervision: spec.Supervision{Stop: spec.StopSchedule{{Signal: "INT"}}},
		},
	}
	out, err := Target().Render(services, writers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(
		"[supervisord]\nnodaemon=true\nlogfile=%[1]s/log\npidfile=%[1]s/pid\nchildlogdir=%[1]s\n",
		dir,
	)
	for _, f := range out.Files {
		config += string(f.Content)
	}
	if err := os.WriteFile(dir+"/conf", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(server, "-n", "-c", dir+"/conf")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	printed := func() string { return read(t, dir+"/printed") }
	deadline := time.Now().Add(2 * time.Minute)
	for ; printed() == "" || len(read(t, dir+"/runs")) < 2 ||
		read(t, dir+"/trapped") == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("not all have run: %s", read(t, dir+"/log"))
			break
		}
	}
	want := strings.Join(append(slices.Clone(nasty), services[0].Env["NASTY"]), "\x00")
	if got := printed(); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("supervisord: %v\n%s", err, said.String())
	}
	if read(t, dir+"/interrupted") == "" {
		t.Errorf("was not stopped by INT: %s", read(t, dir+"/log"))
	}
}

// read returns a file, "" if it is not there.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}
