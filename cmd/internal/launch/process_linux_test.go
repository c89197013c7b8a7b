package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func TestLookupAccount(t *testing.T) {
	root := Account{
		Credential: sys.Credential{Groups: []uint32{0}},
		Name:       "root",
		Home:       "/root",
		Shell:      "/bin/bash",
	}
	for _, c := range []struct {
		text  string
		want  Account
		error string
	}{
		{"root", root, ""},
		{"0", root, ""},
		{"root:root", root, ""},
		{"root:7",
			Account{Credential: sys.Credential{GID: 7, Groups: []uint32{0, 7}}, Name: "root",
				Home: "/root", Shell: "/bin/bash"}, ""},
		{"54321:54322",
			Account{Credential: sys.Credential{UID: 54321, GID: 54322, Groups: []uint32{54322}},
				Name: "54321", Home: "/", Shell: "/bin/sh"}, ""},
		{"54321:root",
			Account{Credential: sys.Credential{UID: 54321, Groups: []uint32{0}}, Name: "54321",
				Home: "/", Shell: "/bin/sh"}, ""},
		{"54321", Account{}, "needs a group"},
		{"no-such", Account{}, `user "no-such": no such user`},
		{"root:no-such", Account{}, `group "no-such": no such group`},
		{"", Account{}, "no such user"},
		{":root", Account{}, "no such user"},
		{"root:", Account{}, "no such group"},
		{"-1", Account{}, "no such user"},
		{"4294967296:0", Account{}, "no such user"},
		{"root:4294967296", Account{}, "no such group"},
	} {
		got, err := LookupAccount(c.text)
		if c.error != "" {
			if err == nil || !strings.Contains(err.Error(), c.error) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v, %v, want %q", c.text, got, err, c.error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		} else if diff := cmp.Diff(c.want, *got); diff != "" {
			t.Errorf("%q: %s", c.text, diff)
		}
	}
}

func TestEnvironment(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := []string{"PATH=/p", "A=base", "HOME=/base", "NOTIFY_SOCKET=/s", "LISTEN_FDS=3",
		"=rubbish", "nothing", "L=caf\xe9", "A=last"}
	account := &Account{Name: "u", Home: "/h", Shell: "/s"}
	for _, c := range []struct {
		name    string
		p       spec.Process
		base    []string
		account *Account
		want    []string
	}{
		{"marks are left out", spec.Process{}, base, nil,
			[]string{"A=last", "HOME=/base", "L=caf\xe9", "PATH=/p"}},
		{"clear", spec.Process{ClearEnv: true}, base, nil, []string{"PATH=/p"}},
		{"clear without a path", spec.Process{ClearEnv: true}, nil, nil,
			[]string{"PATH=" + defaultPath}},
		{"passed", spec.Process{ClearEnv: true, PassEnv: []string{"L", "none"}}, base, nil,
			[]string{"L=caf\xe9", "PATH=/p"}},
		{"account", spec.Process{ClearEnv: true}, base, account,
			[]string{"HOME=/h", "LOGNAME=u", "PATH=/p", "SHELL=/s", "USER=u"}},
		{"files in order, then the line",
			spec.Process{
				ClearEnv: true, EnvFile: []string{file("A=1\nB=1\nC=1\n"), file("B=2\nC=2\n")},
				Env: map[string]string{"C": "3"},
			},
			base, nil, []string{"A=1", "B=2", "C=3", "PATH=/p"}},
		{"what is asked for wins over the account",
			spec.Process{ClearEnv: true, Env: map[string]string{"HOME": "/mine"}}, base, account,
			[]string{"HOME=/mine", "LOGNAME=u", "PATH=/p", "SHELL=/s", "USER=u"}},
		{
			"a file that need not be",
			spec.Process{ClearEnv: true, EnvFile: []string{"-/no/such/file"}}, base, nil,
			[]string{"PATH=/p"},
		},
		{
			"a mark that is asked for",
			spec.Process{ClearEnv: true, Env: map[string]string{"NOTIFY_SOCKET": "/mine"}}, base,
			nil, []string{"NOTIFY_SOCKET=/mine", "PATH=/p"},
		},
	} {
		got, err := environment(t.Context(), c.p, c.base, c.account)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	for _, path := range []string{
		"/no/such/file", file("1A=x\n"), file("no equals sign\n"),
		file(strings.Repeat("#", maxEnvFile+1)), t.TempDir(), "-" + t.TempDir(),
	} {
		_, err := environment(t.Context(), spec.Process{EnvFile: []string{path}}, nil, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "env file") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFill(t *testing.T) {
	var s spawn.Spec
	err := fill(t.Context(), &s, spec.Process{
		User: "root", Groups: []string{"7", "root"}, Umask: new(spec.Mode(0)), Nice: new(3),
		OOMScore: new(4), Chroot: "/c", Chdir: "/d", NoNewPrivs: true,
		Cap:      []string{"net_bind_service", "chown"},
		Rlimit:   map[spec.RlimitName]spec.Rlimit{"nofile": {Soft: 1, Hard: 2}, "core": {}},
		ClearEnv: true,
	}, []string{"PATH=/p"})
	if err != nil {
		t.Fatal(err)
	}
	want := spawn.Spec{
		Env: []string{"HOME=/root", "LOGNAME=root", "PATH=/p",
			"SHELL=/bin/bash", "USER=root"},
		Credential: &sys.Credential{Groups: []uint32{7, 0}},
		Umask:      new(0), Nice: new(3), OOMScoreAdj: new(4), Chroot: "/c", Dir: "/d",
		NoNewPrivs: true, Caps: new(sys.CapSet(1<<10 | 1)),
		Rlimits: []spawn.Rlimit{{Name: "core", Resource: syscall.RLIMIT_CORE},
			{Name: "nofile", Resource: syscall.RLIMIT_NOFILE, Limit: sys.Rlimit{Soft: 1, Hard: 2}}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	for words, p := range map[string]spec.Process{
		"only together with a user": {Groups: []string{"root"}},
		"no such group":             {User: "root", Groups: []string{"no-such"}},
		"no such user":              {User: "no-such"},
		"not known":                 {Rlimit: map[spec.RlimitName]spec.Rlimit{"rubbish": {}}},
		"no such capability":        {Cap: []string{"rubbish"}},
	} {
		if err := fill(t.Context(), new(spawn.Spec), p, nil); err == nil ||
			!strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	var empty spawn.Spec
	if err := fill(t.Context(), &empty, spec.Process{Cap: []string{}}, nil); err != nil ||
		empty.Caps == nil || *empty.Caps != 0 {
		t.Errorf("no capabilities are not the same as no wish: %v, %v", empty.Caps, err)
	}
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]fs.FileMode{
		"a/prog": 0o644, "b/prog": 0o755, "a/text": 0o644,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := []string{"PATH=" + dir + "/a::/none:" + dir + "/b"}
	for _, c := range []struct {
		name, want string
		env        []string
		chroot     string
		error      error
	}{
		{"prog", dir + "/b/prog", path, "", nil}, // the first is not executable
		{"prog", "/b/prog", []string{"PATH=/a:/b"}, dir, nil},
		{"./b/prog", dir + "/b/prog", nil, "", nil},
		{"sh", "/bin/sh", []string{"PATH=/none", "PATH=/bin"}, "", nil},
		{"text", "", path, "", syscall.EACCES},
		{"none", "", path, "", syscall.ENOENT},
		{dir + "/a", "", nil, "", syscall.EISDIR},
	} {
		got, err := program(t.Context(), spec.Command{c.name}, c.env, c.chroot, dir)
		if got != c.want && c.error == nil || !errors.Is(err, c.error) {
			t.Errorf("%s in %q: %q, %v, want %q, %v", c.name, c.env, got, err, c.want, c.error)
		}
	}
}

func TestStreams(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	if err := os.WriteFile(old, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := func(p string) spec.Stream { return spec.Stream{Kind: spec.StreamPath, Path: p} }

	s, err := OpenStreams(t.Context(),
		spec.Process{
			Stdin:  path(old),
			Stdout: path(fresh),
			Stderr: spec.Stream{Kind: spec.StreamStdout},
		}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Files) != 3 || s.Files[1].Source != s.Files[2].Source ||
		s.Files[1].Source.Name() != fresh {
		t.Errorf("%+v", s)
	}
	info, err := os.Stat(fresh)
	if err != nil || info.Mode().Perm() != logMode {
		t.Errorf("%v, %v", info, err)
	}
	if err := s.Discard(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new file that nobody wrote to: %v", err)
	}

	// The same name twice is one open file; a file that was there is appended to, and stays.
	s, err = OpenStreams(t.Context(), spec.Process{Stdout: path(old), Stderr: path(old)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Files[1].Source.WriteString("after\n"); err != nil {
		t.Error(err)
	}
	if err := s.Discard(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(old); string(b) != "before\nafter\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}

	// Truncated; nothing named; and what cannot be opened leaves nothing open (CheckLeaks).
	s, err = OpenStreams(t.Context(),
		spec.Process{Stdout: spec.Stream{Kind: spec.StreamTruncate, Path: old}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(old); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
	for words, p := range map[string]spec.Process{
		"stdin: ":  {Stdin: path("/no/such/file")},
		"stdout: ": {Stdin: path(old), Stdout: path("/no/such/dir/file")},
		"stderr: ": {Stdin: path(old), Stdout: path(fresh),
			Stderr: path("/no/such/dir/file")},
		"not an absolute path": {Stdout: path("relative")},
		"cannot be read from":  {Stdin: spec.Stream{Kind: spec.StreamTruncate, Path: old}},
	} {
		if _, err := OpenStreams(t.Context(), p, nil, nil); err == nil ||
			!strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failure has left %s: %v", fresh, err)
	}
}
