package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/spec"
)

// fakeSystemd is a manager that reads its directory when it is told to.
type fakeSystemd struct {
	dir     string
	known   map[string]string // unit → content, as read last
	enabled map[string]bool
	active  map[string]string // "active", "activating", "failed"
	queued  map[string]bool   // inactive, but to be started
	log     []string
	// fail makes a command fail: its words after "systemctl".
	fail func(line string) error
	user bool
}

func newFakeSystemd(dir string) *fakeSystemd {
	return &fakeSystemd{
		dir:     dir,
		known:   map[string]string{},
		enabled: map[string]bool{},
		active:  map[string]string{},
		queued:  map[string]bool{},
	}
}

func (f *fakeSystemd) run(ctx context.Context, argv ...string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	line := strings.Join(argv, " ")
	if argv[0] == "loginctl" {
		return "no\n", nil
	}
	words := argv[1:]
	if f.user {
		if words[0] != "--user" {
			return "", fmt.Errorf("not for a user: %s", line)
		}
		words = words[1:]
	}
	if words[0] != "show" {
		f.log = append(f.log, strings.Join(words, " "))
	}
	if f.fail != nil {
		if err := f.fail(strings.Join(words, " ")); err != nil {
			if words[0] == "start" {
				f.active[words[1]] = "failed"
			}
			return "", &CommandError{Argv: argv, Status: 1, Err: err}
		}
	}
	return f.command(words)
}

func (f *fakeSystemd) command(words []string) (string, error) {
	units := words[1:]
	switch words[0] {
	case "show":
		return f.show(words)
	case "daemon-reload":
		f.known = map[string]string{}
		entries, _ := os.ReadDir(f.dir)
		for _, e := range entries {
			if data, err := os.ReadFile(filepath.Join(f.dir, e.Name())); err == nil {
				f.known[e.Name()] = string(data)
			}
		}
	case "enable":
		for _, u := range units {
			if _, ok := f.known[u]; !ok {
				return "", &CommandError{
					Argv:   words,
					Status: 1,
					Err:    fmt.Errorf("unit %s does not exist", u),
				}
			}
			f.enabled[u] = true
		}
	case "disable":
		for _, u := range units {
			delete(f.enabled, u)
		}
	case "start", "restart":
		for _, u := range units {
			if _, ok := f.known[u]; !ok {
				return "",
					&CommandError{Argv: words, Status: 5, Err: fmt.Errorf("unit %s not found", u)}
			}
			f.active[u] = "active"
			delete(f.queued, u)
		}
	case "stop":
		for _, u := range units {
			if f.active[u] == "" && !f.queued[u] {
				return "",
					&CommandError{Argv: words, Status: 5, Err: fmt.Errorf("unit %s not loaded", u)}
			}
			delete(f.active, u)
			delete(f.queued, u)
		}
	case "reset-failed":
		for _, u := range units {
			if f.active[u] != "failed" {
				return "",
					&CommandError{Argv: words, Status: 1, Err: fmt.Errorf("unit %s not loaded", u)}
			}
			delete(f.active, u)
		}
	default:
		return "", fmt.Errorf("unknown command %q", words)
	}
	return "", nil
}

func (f *fakeSystemd) show(words []string) (string, error) {
	if words[1] == "--property=Version" {
		return "252.39-1~deb12u2\n", nil
	}
	var blocks []string
	for _, u := range words[slices.Index(words, "--")+1:] {
		active, file, load, pid := f.active[u], "", "not-found", "0"
		if content, ok := f.known[u]; ok {
			load, file = "loaded", "disabled"
			if strings.Contains(content, "REFUSED") {
				load = "bad-setting"
			}
		}
		if f.enabled[u] {
			file = "enabled"
		}
		if active == "" {
			active = "inactive"
		}
		if active == "active" {
			pid = "77"
		}
		result := "success"
		if active == "failed" {
			result = "exit-code"
		}
		now, err := os.ReadFile(filepath.Join(f.dir, u))
		reload := err == nil && string(now) != f.known[u] && f.known[u] != ""
		kind := ""
		if strings.Contains(f.known[u], "Type=oneshot") {
			kind = "Type=oneshot\n"
		}
		if f.queued[u] {
			kind += "Job=12\n"
		}
		blocks = append(blocks, fmt.Sprintf(
			"%sMainPID=%s\nResult=%s\nId=%s\nLoadState=%s\nActiveState=%s\nSubState=x\n"+
				"UnitFileState=%s\nNeedDaemonReload=%s\n",
			kind, pid, result, u, load, active, file,
			map[bool]string{true: "yes", false: "no"}[reload],
		))
	}
	return strings.Join(blocks, "\n"), nil
}

// state is all that a machine has of us: files, and what the manager knows.
func (f *fakeSystemd) state(t *testing.T, root string) string {
	t.Helper()
	return fmt.Sprintf("%s\nknown %v\nenabled %v\nactive %v",
		filesBelow(t, root), sortedKeys(f.known), f.enabled, f.active)
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// filesBelow lists everything with mode and content.
func filesBelow(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		var data []byte
		switch {
		case fi.Mode().IsRegular():
			data, err = os.ReadFile(path)
		case fi.Mode().Type() == fs.ModeSymlink:
			var target string
			target, err = os.Readlink(path)
			data = []byte(target)
		}
		fmt.Fprintf(&b, "%s %v %q\n", path, fi.Mode(), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func services() []spec.Service {
	schedule, err := spec.ParseSchedule("30 4 * * *")
	if err != nil {
		panic(err)
	}
	return []spec.Service{
		{Name: "web", Command: spec.Command{"/usr/bin/web"}, Process: spec.Process{Chdir: "/"},
			Requires: []string{"db"}, Instances: 2,
			Sockets: []spec.Socket{{Listen: spec.Address{Network: spec.NetTCP, Addr: ":8081"}}}},
		{Name: "db", Command: spec.Command{"/usr/bin/db"},
			Process: spec.Process{Chdir: "/", Env: map[string]string{"A": "b c"}}},
		{Name: "backup", Command: spec.Command{"/usr/bin/backup"}, Type: spec.Oneshot,
			Schedule: schedule, Process: spec.Process{Chdir: "/"}},
		{Name: "by-hand", Command: spec.Command{"/usr/bin/hand"}, Autostart: new(false),
			Process: spec.Process{Chdir: "/"}},
	}
}

func namesOf(services []spec.Service) []string {
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	return names
}

var errInjected = errors.New("injected")
