package boot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// TestMain: the test binary is the program that is installed.
func TestMain(m *testing.M) {
	if file := os.Getenv("BOOT_TEST_SERVE"); file != "" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		if err := os.WriteFile(file, []byte(strings.Join(os.Args[1:], " ")), 0o600); err != nil {
			panic(err)
		}
		<-stop
		os.Exit(0)
	}
	proctest.Main(m)
}

// machine boots with scripts that are really run, as SysV init would; what
// would have them started at boot is recorded alone.
type machine struct {
	boot.Machine
	log  []string
	fail string // a command that fails
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{Machine: boot.Machine{System: boot.SysV,
		Dir: filepath.Join(t.TempDir(), "init.d")}}
	m.Run = func(ctx context.Context, argv ...string) (string, error) {
		line := strings.Join(argv, " ")
		m.log = append(m.log, line)
		if m.fail != "" && strings.HasPrefix(line, m.fail) {
			return "", errors.New("refused")
		}
		if argv[0] != "service" {
			return "", nil
		}
		cmd := exec.CommandContext(ctx, filepath.Join(m.Dir, argv[1]), argv[2])
		var words bytes.Buffer
		cmd.Stderr, cmd.WaitDelay = &words, time.Second
		err := cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", &boot.CommandError{
				Argv:   argv,
				Status: exit.ExitCode(),
				Words:  words.String(),
				Err:    err,
			}
		}
		return "", err
	}
	return m
}

// service is one that writes its arguments to a file when it is up.
func (m *machine) service(t *testing.T) (s Service, file string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file = filepath.Join(dir, "up")
	s = Service{here: func() (*boot.Machine, error) { return &m.Machine, nil }, Spec: spec.Service{
		Name: "shop", Command: spec.Command{self, "serve", "a shop"},
		Process: spec.Process{Env: map[string]string{"BOOT_TEST_SERVE": file},
			Pidfile: filepath.Join(dir, "pid")},
		Ready:  spec.Probe{Kind: spec.ProbeFile, Target: file},
		Log:    spec.Log{File: filepath.Join(dir, "log")},
		Limits: spec.Limits{Tasks: 50},
	}}
	return s, file
}

// TestLife: install, look, stop, start, restart, uninstall; each twice.
func TestLife(t *testing.T) {
	m := newMachine(t)
	s, file := m.service(t)
	t.Cleanup(func() { s.Uninstall(context.Background()) })
	run := func(verb string, status int, words ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := s.Run(t.Context(), verb, &stdout, &stderr); got != status {
			t.Fatalf("%s: status %d, want %d: %s%s", verb, got, status, &stdout, &stderr)
		}
		for _, word := range words {
			if text := stdout.String() + stderr.String(); !strings.Contains(text, word) {
				t.Errorf("%s: no %q in %q", verb, word, text)
			}
		}
	}
	run("status", 3, "shop: not installed (sysv)")
	run("start", 1, "shop: start: shop: is not installed")
	run("uninstall", 0, "nothing to do")
	run("install", 0, "shop: installed as a service of sysv", "shop: limits.tasks: left out")
	if got, err := os.ReadFile(file); err != nil || string(got) != "serve a shop" {
		t.Errorf("the program was started with %q, %v", got, err)
	}
	if !slices.Contains(m.log, "update-rc.d shop defaults") {
		t.Errorf("it is not started at boot: %q", m.log)
	}
	run("install", 0)
	run("status", 0, "shop: running")
	run("stop", 0)
	run("stop", 0)
	run("status", 3, "shop: not running")
	run("start", 0)
	run("start", 0)
	run("restart", 0)
	run("status", 0, "shop: running")
	run("reload", 2, `no verb "reload": install, `)
	st, err := s.Status(t.Context())
	if want := filepath.Join(m.Dir, "shop"); err != nil || !st.Running || !st.Installed ||
		!slices.Equal(st.Files, []string{want}) {
		t.Errorf("status %+v, %v", st, err)
	}
	run("uninstall", 0, "shop: uninstalled as a service of sysv")
	run("status", 3, "shop: not installed")
	if left, err := os.ReadDir(m.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) ||
		len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestFailure: of an installation that fails nothing is left.
func TestFailure(t *testing.T) {
	m := newMachine(t)
	s, _ := m.service(t)
	m.fail = "service shop start"
	var out, words bytes.Buffer
	if status := s.Run(t.Context(), "install", &out, &words); status != 1 || out.Len() > 0 ||
		!strings.Contains(words.String(), "shop: install: refused") {
		t.Errorf("status %d, %q, %q", status, &out, &words)
	}
	if _, err := os.Stat(m.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", m.Dir, err)
	}
	s.here = func() (*boot.Machine, error) { return nil, errors.New("no init system") }
	if status := s.Run(t.Context(), "status", &out, &words); status != 4 ||
		!strings.Contains(words.String(), "shop: status: no init system") {
		t.Errorf("status %d, %q", status, &words)
	}
}

// TestDryRun says the same and does nothing.
func TestDryRun(t *testing.T) {
	m := newMachine(t)
	s, file := m.service(t)
	s.DryRun = true
	var out bytes.Buffer
	if status := s.Run(t.Context(), "install", &out, &out); status != 0 ||
		!strings.Contains(out.String(), "write "+filepath.Join(m.Dir, "shop")) {
		t.Errorf("status %d, %q", status, &out)
	}
	for _, path := range []string{m.Dir, file} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestDefaults: the zero value is this program, if it can be there at the next
// boot; this test binary, made by go test, cannot.
func TestDefaults(t *testing.T) {
	m := newMachine(t)
	s := Service{
		Args: []string{"serve"},
		here: func() (*boot.Machine, error) { return &m.Machine, nil },
	}
	if _, err := s.Install(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "build the program first") {
		t.Errorf("a program of go test: %v", err)
	}
	s.Spec.Command = spec.Command{"/bin/true"}
	svc, _, err := s.resolve()
	if err != nil || svc.Name != filepath.Base(os.Args[0]) || svc.Chdir != "/" {
		t.Errorf("%+v, %v", svc, err)
	}
	s.Spec.Name = "no name"
	if _, err := s.Install(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "set Service.Spec.Name") {
		t.Errorf("a bad name: %v", err)
	}
	for _, verb := range []string{"install", "status"} {
		if !IsVerb(verb) {
			t.Errorf("%s is no verb", verb)
		}
	}
	if IsVerb("") || IsVerb("--install") {
		t.Error("not everything is a verb")
	}
}
