package boot

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/spec"
)

func TestSecret(t *testing.T) {
	for _, kv := range []string{"DB_PASSWORD=x", "github-token=x", "AWS_ACCESS_KEY_ID=x", "PASS=x",
		"SMTP_PASS=x", "DATABASE_URL=postgres://shop:x@db/shop", "api-key=x"} {
		if name, value, _ := strings.Cut(kv, "="); !secret(name, value) {
			t.Errorf("%s is none", kv)
		}
	}
	for _, kv := range []string{"HOME=/root", "TOKEN_FILE=/etc/token", "PASSWORD=", "COMPASS=north",
		"DATABASE_URL=postgres://shop@db/shop", "URL=http://x/a:b@c", "KEYBOARD=us", "BYPASS=1"} {
		if name, value, _ := strings.Cut(kv, "="); secret(name, value) {
			t.Errorf("%s is one", kv)
		}
	}
}

// argued has the process have these arguments.
func argued(t *testing.T, args ...string) {
	was := os.Args
	t.Cleanup(func() { os.Args = was })
	os.Args = append([]string{was[0]}, args...)
}

func TestTakeArgs(t *testing.T) {
	for _, c := range []struct{ args, want, err string }{
		{"install -c /etc/shop.conf", "serve -c /etc/shop.conf", ""},
		{"-v install", "serve -v", ""},
		{"install", "serve", ""},
		{"--password=x", "", "the value of --password looks like a secret"},
		{"install -token x", "", "the value of -token looks like a secret"},
		{"--password-file=/etc/x", "serve --password-file=/etc/x", ""},
	} {
		argued(t, strings.Fields(c.args)...)
		args, err := Service{Args: []string{"serve"}, TakeArgs: true}.args()
		if got := strings.Join(args, " "); got != c.want || (err == nil) != (c.err == "") ||
			err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.args, got, err)
		}
	}
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("shop.conf", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(dir, "shop.conf")
	args := []string{"serve", "-c", "shop.conf", "-d=shop.conf", there, ""}
	if got := relative(args, "/"); !slices.Equal(got, []string{"shop.conf", "shop.conf"}) {
		t.Errorf("%q", got)
	}
	if got := relative(args, dir); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestTakeEnv(t *testing.T) {
	t.Setenv("SHOP_PORT", "8080")
	t.Setenv("SHOP_TOKEN", "abc")
	for _, c := range []struct {
		system boot.System
		take   string
		err    string
	}{
		{boot.Systemd, "SHOP_PORT SHOP_TOKEN SAID", ""},
		{boot.Launchd, "SHOP_PORT", ""},
		{boot.Launchd, "SHOP_TOKEN", "SHOP_TOKEN looks like a secret"},
		{boot.Systemd, "NOT_THERE_AT_ALL", "NOT_THERE_AT_ALL is not set"},
	} {
		own := map[string]string{"SAID": "so"}
		svc := spec.Service{Process: spec.Process{Env: own}}
		s := Service{TakeEnv: strings.Fields(c.take)}
		err := s.take(&svc, &boot.Machine{System: c.system})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.take, err)
			}
			continue
		}
		if err != nil || svc.Env["SHOP_PORT"] != "8080" || svc.Env["SAID"] != "so" || len(own) > 1 {
			t.Errorf("%s: %q, %q, %v", c.take, svc.Env, own, err)
		}
	}
}

// TestEnvIsClosed: what is taken is in a file that others may read in no init system but launchd.
func TestEnvIsClosed(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "abracadabra")
	for _, system := range []boot.System{boot.Systemd, boot.OpenRC, boot.SysV, boot.Runit, boot.S6,
		boot.FreeBSD} {
		dir := t.TempDir()
		m := newMachine(t)
		m.System, m.Dir, m.Root = system, filepath.Join(dir, "etc"), dir
		for _, scan := range []string{"etc/service",
			"etc/s6-linux-init/current/run-image/service"} {
			if err := os.MkdirAll(filepath.Join(dir, scan), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		m.Dir = "/units"
		s := Service{TakeEnv: []string{"SHOP_TOKEN"}, Spec: spec.Service{Name: "shop",
			Command: spec.Command{"/bin/shop"}},
			here: func() (*boot.Machine, error) { return &m.Machine, nil }}
		svc, _, err := s.resolve()
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.Enable(t.Context(), []spec.Service{svc})
		if err != nil {
			t.Errorf("%s: %v", system, err)
			continue
		}
		seen := false
		for _, step := range p.Steps() {
			if !strings.Contains(string(step.Content), "abracadabra") {
				continue
			}
			seen = true
			if step.Mode.Perm()&0o077 != 0 {
				t.Errorf("%s: %s has mode %v", system, step.Path, step.Mode)
			}
		}
		if !seen {
			t.Errorf("%s: it is nowhere: %v", system, p.Steps())
		}
	}
}
