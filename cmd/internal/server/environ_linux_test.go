//go:build linux

package server

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// environOfProcess is what a process was started with, of those names.
func environOfProcess(t *testing.T, pid int, names ...string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for kv := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		name, _, _ := strings.Cut(kv, "=")
		if len(names) == 0 || slices.Contains(names, name) {
			list = append(list, kv)
		}
	}
	slices.Sort(list)
	return list
}

// A service has the environment of the command that described it, byte for byte, whoever started
// the supervisor, and keeps it: over restarts, a killed supervisor and an upgrade. Nobody else sees
// it.
func TestEnvironmentIsKept(t *testing.T) {
	o := &ordeal{T: t, root: shortDir(t)}
	o.start()
	ctx := t.Context()
	const odd = "\xff\xfe\ntwo lines"
	first := []byte("SECRET=" + odd + "\x00PATH=/bin:/usr/bin\x00NOTIFY_SOCKET=/not/ours\x00")
	apply := func(source string, environ []byte, services ...spec.Service) []control.Planned {
		t.Helper()
		plan, err := o.client.Apply(ctx,
			control.ApplyRequest{Source: source, Services: services, Environ: environ})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	names := []string{"SECRET", "PATH", "OTHER", "HOME"}
	has := func(when, service string, want ...string) {
		t.Helper()
		st := o.until(service, func(st control.Status) bool { return st.Ready })
		if got := environOfProcess(t, st.PID, names...); !slices.Equal(got, want) {
			t.Errorf("%s: %s has %q, want %q", when, service, got, want)
		}
	}
	a, b := shell("a", "sleep 1000 & wait"), shell("b", "sleep 1000 & wait")
	apply("/a.toml", first, a)
	apply("", []byte("OTHER=1\x00PATH=/bin\x00"), b)
	keeps := func(when string) {
		t.Helper()
		has(when, "a", "PATH=/bin:/usr/bin", "SECRET="+odd)
		has(when, "b", "OTHER=1", "PATH=/bin")
	}
	keeps("at first")
	restart := func() {
		t.Helper()
		if err := o.client.Restart(ctx, control.Named("a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	keeps("after a restart")
	o.kill()
	o.start()
	restart()
	keeps("after a kill of the supervisor")
	if _, err := o.client.Upgrade(ctx, control.UpgradeRequest{Program: whole.Path(o)}); err != nil {
		t.Fatal(err)
	}
	restart()
	keeps("after an upgrade")
	o.end()
	o.start()
	keeps("after an end of the supervisor")

	// From a file: it is told by name, what runs is left alone, and what comes next has it. From a
	// command line: a new process.
	pid := o.status("a").PID
	changed := []byte("OTHER=2\x00PATH=/bin:/usr/bin\x00")
	if plan := apply("/a.toml", changed, a); len(plan) != 1 ||
		plan[0].Action != control.ActionUpdate ||
		!slices.Equal(plan[0].Environ, []string{"OTHER", "SECRET"}) || !slices.Equal(plan[0].Fields,
		[]string{"environment"}) {
		t.Errorf("the plan: %+v", plan)
	}
	if plan := apply("/a.toml", changed, a); plan[0].Action != control.ActionNone {
		t.Errorf("the same again: %+v", plan)
	}
	if o.status("a").PID != pid {
		t.Error("what runs is not left alone")
	}
	if plan := apply("", []byte("OTHER=3\x00PATH=/bin\x00"),
		b); plan[0].Action != control.ActionRestart {
		t.Errorf("from a command line: %+v", plan)
	}
	has("described anew", "b", "OTHER=3", "PATH=/bin")
	if plan := apply("/a.toml", nil, a); plan[0].Action != control.ActionNone { // no word of it
		t.Errorf("without an environment: %+v", plan)
	}
	restart()
	has("described anew", "a", "OTHER=2", "PATH=/bin:/usr/bin")

	o.closed()
	o.end()
}

// closed looks whether environments are where nobody else can read them, as often as there are
// different ones, and nowhere else.
func (o *ordeal) closed() {
	o.Helper()
	files, err := filepath.Glob(filepath.Join(o.root, "state", "environment", "*"))
	if err != nil || len(files) != 2 {
		o.Errorf("environments: %v, %v", files, err)
	}
	for _, path := range append(files, filepath.Join(o.root, "state", "environment")) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			o.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	for _, path := range stateFiles {
		if data, err := os.ReadFile(filepath.Join(o.root, path)); err != nil ||
			bytes.Contains(data, []byte("OTHER")) {
			o.Errorf("%s: %v", path, err)
		}
	}
	s, err := o.client.Spec(o.Context(), "a")
	if err != nil || len(s.Env) > 0 {
		o.Errorf("the description: %+v, %v", s.Env, err)
	}
}

// An environment that is lost keeps a service from being started with another one, and is said;
// what runs goes on.
func TestEnvironmentThatIsLost(t *testing.T) {
	o := &ordeal{T: t, root: shortDir(t)}
	o.start()
	request := control.ApplyRequest{
		Services: []spec.Service{shell("a", "sleep 1000 & wait")},
		Environ:  []byte("A=1\x00"),
	}
	if _, err := o.client.Apply(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	pid := o.until("a", func(st control.Status) bool { return st.Ready }).PID
	o.kill()
	files, err := filepath.Glob(filepath.Join(o.root, "state", "environment", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("A=2\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.start()
	if st := o.status("a"); st.PID != pid || st.State != control.Ready {
		t.Errorf("it runs: %+v", st)
	}
	if err := o.client.Restart(t.Context(), control.Named("a")); err == nil ||
		!strings.Contains(err.Error(),
			"the environment that it was described in: it is not what was written") {
		t.Errorf("with another environment: %v", err)
	}
	if _, err := o.client.Apply(t.Context(), request); err != nil { // described anew
		t.Error(err)
	}
	if err := o.client.Start(t.Context(), control.Named("a")); err != nil {
		t.Error(err)
	}
	if got := environOfProcess(t, o.status("a").PID, "A"); !slices.Equal(got, []string{"A=1"}) {
		t.Errorf("described anew it has %q", got)
	}
	o.end()
}
