//go:build linux

package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// damage is what may become of a state file, and whether a supervisor can go on with what is left.
// What it cannot go on with it leaves as it is: mended, it is taken over as if nothing had been.
type damage struct {
	name  string
	do    func(path string) error
	fatal func(file string) bool
}

var stateFiles = []string{"state/services.json", "state/wanted.json", "state/supervisor.owner",
	"run/services.journal"}

func damages() []damage {
	// that is asked only where there is no journal
	read := func(file string) bool { return !strings.HasSuffix(file, ".owner") }
	never := func(string) bool { return false }
	// Of the user's own words nothing may be lost; what a supervisor noted is done without, and
	// what it was about left alone.
	words := func(file string) bool { return strings.HasSuffix(file, ".json") }
	return []damage{
		{
			"unreadable",
			func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
			read,
		},
		{"newer version", func(path string) error { return newer(path) }, read},
		{"unknown field", func(path string) error {
			return edit(path, func(b []byte) []byte {
				return bytes.Replace(b, []byte(`{`), []byte(`{"later": 1, `), 1)
			})
		}, words},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, words},
		{"cut",
			func(path string) error {
				return edit(path, func(b []byte) []byte { return b[:len(b)*2/3] })
			}, words},
		{"cut after a line", func(path string) error {
			return edit(path,
				func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] })
		}, words},
		{"garbage",
			func(path string) error {
				return os.WriteFile(path, bytes.Repeat([]byte("x\x00\n"), 1000), 0o600)
			}, words},
		{"garbage in the middle", func(path string) error {
			return edit(path,
				func(b []byte) []byte { copy(b[len(b)/2:], "\x00\x00\x00"); return b })
		}, words},
		{"an object without a word",
			func(path string) error { return os.WriteFile(path, []byte("{}\n"), 0o600) }, words},
		{"missing", os.Remove, never},
	}
}

func edit(path string, f func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, f(b), 0o600)
}

// newer makes a file one of the next version, with the right checksum where there is one.
func newer(path string) error {
	return edit(path, func(b []byte) []byte {
		first, rest, _ := bytes.Cut(b, []byte{'\n'})
		sum, text, sealed := bytes.Cut(first, []byte{' '})
		if !sealed || len(sum) != 16 {
			text = first
		}
		text = bytes.Replace(text, []byte(`"version":`), []byte(`"version":9`), 1)
		if sealed && len(sum) == 16 {
			text = fmt.Appendf(nil, "%s %s", seal(text), text)
		}
		return append(append(text, '\n'), rest...)
	})
}

// once are services that say in a file of their own, a line each, with which process they were
// started.
func once(dir string, groups string) []spec.Service {
	script := "echo $$ >>" + dir + "/$INVOCATION_NAME; exec sleep 1000"
	named := func(name string, change ...func(*spec.Service)) spec.Service {
		s := shell(name, script, change...)
		s.Env = map[string]string{"INVOCATION_NAME": name + groups}
		return s
	}
	silent := func(s *spec.Service) {
		s.Stdout, s.Stderr = spec.Stream{Kind: spec.StreamNull}, spec.Stream{Kind: spec.StreamNull}
	}
	mute := func(s *spec.Service) { silent(s); s.NotifyAccess = spec.NotifyNone }
	return []spec.Service{
		named("logged"), named("silent", silent), named("mute", mute),
		named("always", silent, func(s *spec.Service) { s.Restart = spec.RestartAlways }),
	}
}

// No state file that cannot be read has a service ended, started a second time, or forgotten.
func TestStateFilesThatCannotBeRead(t *testing.T) {
	for _, groups := range []string{"", "off"} {
		for _, file := range stateFiles {
			for _, d := range damages() {
				t.Run(fmt.Sprintf("groups %q, %s %s", groups, filepath.Base(file), d.name),
					func(t *testing.T) {
						t.Parallel()
						spoilt(t, groups, file, d)
					})
			}
		}
	}
}

func spoilt(t *testing.T, groups, file string, d damage) {
	dir := shortDir(t)
	o := &ordeal{T: t, root: shortDir(t), cgroup: groups}
	o.file = control.ApplyRequest{Source: "/test.toml", Services: once(dir, groups)}
	before := o.startOnce(dir)
	o.kill()
	path := filepath.Join(o.root, file)
	good, err := os.ReadFile(path)
	if err == nil {
		err = d.do(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.fatal(file) {
		left := o.everything()
		if line := o.refused(); !strings.Contains(line, filepath.Base(file)) {
			t.Errorf("it says %q", line)
		}
		if now := o.everything(); now != left {
			t.Errorf("it has changed what was there:\n%s\nbefore:\n%s", now, left)
		}
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, good, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	o.start()
	o.aliveOnce(dir, before, d.fatal(file))
	o.kill()
	o.start() // what it has made of it is what the next one finds
	o.aliveOnce(dir, before, d.fatal(file))
	o.end()
}

// A copy of the directories is another supervisor's, whether the one whose copy it is lives or not:
// it takes nothing over, ends nothing and starts nothing a second time.
func TestCopiedRoot(t *testing.T) {
	for _, groups := range []string{"", "off"} {
		for _, alive := range []bool{true, false} {
			t.Run(fmt.Sprintf("groups %q, alive %v", groups, alive), func(t *testing.T) {
				dir := shortDir(t)
				o := &ordeal{T: t, root: shortDir(t), cgroup: groups}
				o.file = control.ApplyRequest{Source: "/test.toml", Services: once(dir, groups)}
				before := o.startOnce(dir)
				copied := &ordeal{
					T:      t,
					root:   filepath.Join(shortDir(t), "copy"),
					file:   o.file,
					cgroup: groups,
				}
				if out, err := exec.Command("cp", "-a", o.root,
					copied.root).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if !alive {
					o.kill()
				}
				copied.start()
				copied.aliveOnce(dir, before, false)
				for _, s := range o.file.Services {
					if st := copied.status(s.Name); st.State != control.Failed ||
						!strings.Contains(st.Reason, "a copy of another supervisor's") {
						t.Errorf("in the copy: %+v", st)
					}
				}
				copied.end()
				copied.start() // it knows that still
				if _, err := copied.client.Apply(t.Context(), copied.file); err != nil {
					t.Log(err)
				}
				copied.aliveOnce(dir, before, false)
				copied.end()
				if !alive {
					o.start()
				}
				o.aliveOnce(dir, before, true)
				o.end()
				for name, id := range before {
					if proctest.Alive(id.PID) {
						t.Errorf("%s is not ended by its own supervisor", name)
					}
				}
			})
		}
	}
}

// What an older state does not describe is named and left alone, and taken over when it is
// described again.
func TestOlderStatePutBack(t *testing.T) {
	dir := shortDir(t)
	o := &ordeal{T: t, root: shortDir(t)}
	all := once(dir, "")
	o.file = control.ApplyRequest{Source: "/test.toml", Services: all[:1]}
	before := o.startOnce(dir)
	backup := map[string][]byte{}
	for _, file := range stateFiles[:2] {
		data, err := os.ReadFile(filepath.Join(o.root, file))
		if err != nil {
			t.Fatal(err)
		}
		backup[file] = data
	}
	o.file.Services = all[:2]
	if _, err := o.client.Apply(t.Context(), o.file); err != nil {
		t.Fatal(err)
	}
	pid := pidIn(t, filepath.Join(dir, "silent"))
	proctest.KillAtEnd(t, pid)
	id, err := sys.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	before["silent"] = id
	o.kill()
	if err := edit(filepath.Join(o.root, stateFiles[3]), withoutSpecs); err != nil {
		t.Fatal(err)
	}
	for file, data := range backup {
		if err := os.WriteFile(filepath.Join(o.root, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		o.start()
		about, err := o.client.Supervisor(t.Context())
		if err != nil || len(about.Unknown) != 1 ||
			about.Unknown[0] != (control.Unknown{Name: "silent", PID: pid}) {
			t.Errorf("unknown: %+v, %v", about, err)
		}
		o.kill()
	}
	o.start()
	if _, err := o.client.Apply(t.Context(), o.file); err != nil {
		t.Error(err)
	}
	o.aliveOnce(dir, before, true)
	if about, err := o.client.Supervisor(t.Context()); err != nil || len(about.Unknown) > 0 {
		t.Errorf("described again: %+v, %v", about, err)
	}
	o.end()
	if proctest.Alive(pid) {
		t.Error("it is not ended with the others")
	}
}

// withoutSpecs is a journal as it is once all descriptions are on disk.
func withoutSpecs(journal []byte) (b []byte) {
	for line := range bytes.Lines(journal) {
		_, text, sealed := bytes.Cut(bytes.TrimSpace(line), []byte{' '})
		var fields map[string]json.RawMessage
		if !sealed || json.Unmarshal(text, &fields) != nil || fields["spec"] == nil {
			b = append(b, line...)
			continue
		}
		delete(fields, "spec")
		// of what was just read
		short, _ := json.Marshal(fields)
		// the file is as long as it says
		short = append(short[:len(short)-1], bytes.Repeat([]byte(" "), len(text)-len(short))...)
		short = append(short, '}')
		b = fmt.Appendf(b, "%s %s\n", seal(short), short)
	}
	return b
}

// startOnce starts the services and returns the processes that they are.
func (o *ordeal) startOnce(dir string) map[string]sys.Identity {
	o.Helper()
	o.start()
	if _, err := o.client.Apply(o.Context(), o.file); err != nil {
		o.Fatal(err)
	}
	before := map[string]sys.Identity{}
	for _, s := range o.file.Services {
		pid := pidIn(o.T, filepath.Join(dir, s.Env["INVOCATION_NAME"]))
		proctest.KillAtEnd(o, pid)
		id, err := sys.Identify(pid)
		if err != nil {
			o.Fatal(err)
		}
		before[s.Name] = id
	}
	return before
}

// refused starts a supervisor that does not come up, and returns why.
func (o *ordeal) refused() string {
	o.Helper()
	cmd := o.command()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		o.Fatal(err)
	}
	proctest.KillAtEnd(o, cmd.Process.Pid)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line == "ready\n" {
		o.Fatalf("it has come up, or says %q (%v)", line, err)
	}
	if err := cmd.Wait(); err == nil {
		o.Error("it ends well")
	}
	return line
}

// everything is what is on disk.
func (o *ordeal) everything() string {
	o.Helper()
	var b strings.Builder
	for _, pattern := range []string{"state/*", "run/*"} {
		names, err := filepath.Glob(filepath.Join(o.root, pattern))
		if err != nil {
			o.Fatal(err)
		}
		for _, name := range names {
			info, err := os.Lstat(name)
			if err != nil {
				o.Fatal(err)
			}
			content := ""
			if filepath.Base(name) == "lock" {
				continue // the pid of whoever had it last
			}
			if info.Mode().IsRegular() {
				data, err := os.ReadFile(name)
				if err != nil {
					o.Fatal(err)
				}
				content = string(data)
			}
			fmt.Fprintf(&b, "%s %v %q\n", name, info.Mode(), content)
		}
	}
	return b.String()
}

// aliveOnce looks whether each service is the process that it was, and was started but once. Those
// that are not known to be that are failed.
func (o *ordeal) aliveOnce(dir string, before map[string]sys.Identity, known bool) {
	o.Helper()
	list, err := o.client.Status(o.Context(), control.StatusRequest{})
	if err != nil {
		o.Fatal(err)
	}
	states := map[string]control.Status{}
	for _, st := range list {
		states[st.Name] = st
	}
	for _, s := range o.file.Services {
		id := before[s.Name]
		if now, err := sys.Identify(id.PID); err != nil || now != id {
			o.Errorf("%s: process %d is gone: %v", s.Name, id.PID, err)
		}
		if started, err := os.ReadFile(filepath.Join(dir, s.Env["INVOCATION_NAME"])); err != nil ||
			bytes.Count(started, []byte{'\n'}) != 1 {
			o.Errorf("%s: started as %q, %v", s.Name, started, err)
		}
		st := states[s.Name]
		switch {
		case st.State == control.Ready && st.PID == id.PID:
		case known:
			o.Errorf("%s is not taken over: %+v", s.Name, st)
		case st.Name == "" || st.State == control.Stopped:
			// Neither described nor wanted: left alone.
		case st.State != control.Failed || st.PID != 0 ||
			!strings.Contains(st.Reason, "not started again"):
			o.Errorf("%s: %+v", s.Name, st)
		}
	}
}

// seal is the checksum before a line of the supervisor's own files.
func seal(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
