package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// record is as a supervisor's: what the corpus of FuzzReadJournal says is in it.
type record struct {
	Name     string        `json:"name"`
	Gone     bool          `json:"gone,omitzero"`
	Spec     *spec.Service `json:"spec,omitzero"`
	Source   string        `json:"source,omitzero"`
	State    string        `json:"state,omitzero"`
	Since    time.Time     `json:"since,omitzero"`
	Wanted   bool          `json:"wanted,omitzero"`
	Text     string        `json:"text,omitzero"`
	Main     identity      `json:"main,omitzero"`
	Session  int           `json:"session,omitzero"`
	Watchdog spec.Duration `json:"watchdog,omitzero"`
	Exit     *exit         `json:"exit,omitzero"`
	Window   []time.Time   `json:"window,omitzero"`
	Left     []identity    `json:"left,omitzero"`
}

type identity struct {
	PID   int    `json:"pid"`
	Pidfd uint64 `json:"pidfd,omitzero"`
	Start uint64 `json:"start,omitzero"`
}

type exit struct {
	Code  int
	At    time.Time
	Words []string
}

func (r record) Of() string      { return r.Name }
func (r record) Forgotten() bool { return r.Gone }

var testHead = Head{
	Version:   journalVersion,
	Boot:      "boot",
	Namespace: 4,
	Init:      5,
	User:      os.Geteuid(),
	PID:       77,
}

func writeJournal(t testing.TB, j *Journal[record], list []record, all bool) {
	t.Helper()
	write := j.Append
	if all {
		write = j.Replace
	}
	if err := write(list); err != nil {
		t.Fatal(err)
	}
}

func TestJournal(t *testing.T) {
	j := NewJournal[record](t.TempDir(), Owner{Head: testHead}, &Ballast{})
	defer j.Close()
	described := spec.Service{Name: "b", Command: spec.Command{"x"}}.WithDefaults()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	a := record{
		Name:   "a",
		State:  "ready",
		Wanted: true,
		Since:  at,
		Main:   identity{PID: 5, Pidfd: 6, Start: 7},
		Window: []time.Time{at},
	}
	b := record{
		Name:  "b",
		State: "failed",
		Spec:  &described,
		Exit:  &exit{Code: 3, At: at, Words: []string{"\xff", "w"}},
	}
	b.Exit.Words[0] = "�" // JSON carries text
	writeJournal(t, j, []record{a}, true)
	writeJournal(t, j, []record{b, {Name: "c", State: "ready"}}, false)
	a.State = "stopping"
	writeJournal(t, j, []record{a, {Name: "c", Gone: true}}, false)
	size := j.size
	writeJournal(t, j, []record{a, b}, false)
	if j.size != size {
		t.Error("what has not changed is written again")
	}
	got, err := readJournal[record](j.path(), testHead)
	if want := map[string]record{"a": a, "b": b}; err != nil || len(got.Faults) > 0 ||
		!reflect.DeepEqual(got.Records, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	if _, err := readJournal[record](j.path()+"none", testHead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

// However a file was cut, nothing but whole records comes out of it: those at its beginning.
func TestJournalCutShort(t *testing.T) {
	j := NewJournal[record](t.TempDir(), Owner{Head: testHead}, &Ballast{})
	defer j.Close()
	writeJournal(t, j, nil, true)
	writeJournal(t, j, []record{{Name: "a", State: "ready"}, {Name: "b", State: "ready"}}, false)
	data, err := os.ReadFile(j.path())
	if err != nil {
		t.Fatal(err)
	}
	head := bytes.IndexByte(data, '\n') + lengthSize
	for n := range len(data) {
		if err := os.WriteFile(j.path(), data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readJournal[record](j.path(), testHead)
		whole := max(0, bytes.Count(data[:n], []byte{'\n'})-2)
		if len(got.Records) != whole || (err == nil) != (n > head) ||
			err == nil && (len(got.Faults) != 1 || len(got.Unsure) != whole) {
			t.Fatalf("the first %d bytes: %+v, %v", n, got, err)
		}
	}
	// A write that was not completed is none: what it was to say has not been acted upon.
	for n := 1; n < 10; n++ {
		if err := os.WriteFile(j.path(), append(slices.Clone(data), data[head+1:head+1+n]...),
			0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readJournal[record](j.path(), testHead); err != nil ||
			len(got.Faults)+len(got.Unsure) > 0 || len(got.Records) != 2 {
			t.Fatalf("with %d bytes more: %+v, %v", n, got, err)
		}
	}
}

func TestJournalRefused(t *testing.T) {
	line := func(v any) string {
		b, _, err := appendLine(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	changed := func(f func(*Head)) string {
		h := testHead
		f(&h)
		return line(h) + string(lengthLine(0)) + line(record{Name: "a"})
	}
	good := line(testHead) + string(lengthLine(0)) + line(record{Name: "a"})
	for name, tt := range map[string]struct {
		content string
		spoil   func(path string) error
		want    string
	}{
		"empty":             {"", nil, "cut short"},
		"zeroed":            {strings.Repeat("\x00", 4096), nil, "cut short"},
		"zeroed with lines": {strings.Repeat("\x00", 100) + "\n", nil, "line 1: not a record"},
		"other boot": {changed(func(h *Head) { h.Boot = "x" }), nil,
			"of another boot or another machine"},
		"other namespace": {changed(func(h *Head) { h.Namespace = 9 }), nil, "pid namespace"},
		"other user":      {changed(func(h *Head) { h.User++ }), nil, "of user"},
		"newer": {changed(func(h *Head) { h.Version++ }), nil,
			"version 3, and this program reads 2: written by a newer version"},
		"other init": {changed(func(h *Head) { h.Init++ }), nil, "pid namespace"},
		"copied": {changed(func(h *Head) { h.Inode = 1 }), nil,
			"a copy of another supervisor's"},
		"no length": {line(testHead) + line(record{Name: "a"}), nil,
			"line 2: not a length"},
		"no version":        {changed(func(h *Head) { h.Version = 0 }), nil, "version 0"},
		"a longer checksum": {"0" + good, nil, "line 1: not a record"},
		"a bit": {strings.Replace(good, `"boot"`, `"bopt"`, 1), nil,
			"line 1: the checksum is wrong"},
		"open to all": {good, func(path string) error { return os.Chmod(path, 0o644) },
			"others have access"},
		"a second name": {good,
			func(path string) error { return os.Link(path, path+"2") }, "2 names"},
		"a directory": {
			good,
			func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
			"is a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.spoil != nil {
				if err := tt.spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			got, err := readJournal[record](path, testHead)
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(got.Records) > 0 {
				t.Errorf("%v, %v, want …%s…", got, err, tt.want)
			}
		})
	}
	if os.Geteuid() == 0 {
		path := filepath.Join(t.TempDir(), "j")
		if err := errors.Join(os.WriteFile(path, []byte(good), 0o600),
			os.Chown(path, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		if _, err := readJournal[record](path, testHead); !errors.Is(err, sys.ErrInsecure) {
			t.Errorf("somebody else's file: %v", err)
		}
	}
}

// One bad line costs what it says and nothing else.
func TestJournalFault(t *testing.T) {
	j := NewJournal[record](t.TempDir(), Owner{Head: testHead}, &Ballast{})
	defer j.Close()
	writeJournal(t, j, []record{{Name: "a"}, {Name: "d"}, {Name: "b"}, {Name: "c"}}, true)
	writeJournal(t, j, []record{{Name: "d", State: "ready"}}, false)
	data, err := os.ReadFile(j.path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.path(), bytes.Replace(data, []byte(`"b"`), []byte(`"B"`), 1),
		0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readJournal[record](j.path(), testHead)
	if err != nil || len(got.Records) != 3 || len(got.Faults) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	fault := got.Faults[0].Error()
	if !strings.HasSuffix(fault, JournalFile+": line 5: the checksum is wrong") {
		t.Error(fault)
	}
	// The line may have been about a; not about c and d, which are told of after it.
	if want := map[string]bool{"a": true}; !reflect.DeepEqual(got.Unsure, want) {
		t.Errorf("unsure: %v", got.Unsure)
	}
}

// What is forgotten and comes back as it was is written again, and costs nothing until then.
func TestJournalGoneAndBack(t *testing.T) {
	j := NewJournal[record](t.TempDir(), Owner{Head: testHead}, &Ballast{})
	defer j.Close()
	a := record{Name: "a", State: "ready"}
	writeJournal(t, j, []record{a}, true)
	writeJournal(t, j, []record{{Name: "a", Gone: true}}, false)
	if len(j.written) > 0 {
		t.Errorf("remembered: %v", j.written)
	}
	writeJournal(t, j, []record{a}, false)
	got, err := readJournal[record](j.path(), testHead)
	if err != nil || len(got.Records) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A journal that cannot say something says it all anew.
func TestJournalUnwritable(t *testing.T) {
	j := NewJournal[unwritable](t.TempDir(), Owner{Head: testHead}, &Ballast{})
	defer j.Close()
	for _, write := range []func([]unwritable) error{j.Replace, j.Append} {
		if err := j.Replace(nil); err != nil || j.Grown() {
			t.Fatal(err)
		}
		if err := write([]unwritable{{}, {F: func() {}}}); err == nil || !j.Grown() {
			t.Errorf("%v, %v", err, j.Grown())
		}
	}
}

type unwritable struct{ F any }

func (unwritable) Of() string      { return "u" }
func (unwritable) Forgotten() bool { return false }

// The room set aside is given for a journal that must be written, and set aside again with the next
// one; until then it is made anew sooner, and in another directory there is other room.
func TestJournalWithBallast(t *testing.T) {
	dir := t.TempDir()
	var b Ballast
	b.Move(dir)
	j := NewJournal[record](dir, Owner{Head: testHead}, &b)
	defer j.Close()
	writeJournal(t, j, nil, true)
	b.give(syscall.ENOSPC)
	there := func(dir string) bool {
		_, err := os.Lstat(filepath.Join(dir, ballastFile))
		return err == nil
	}
	for size := int64(0); !j.Grown(); size = j.size - j.made {
		if size > ballastMost/2 {
			t.Fatalf("grown by %d bytes, and not made anew", size)
		}
		one := record{Name: fmt.Sprint(size), Text: strings.Repeat("x", 1000)}
		writeJournal(t, j, []record{one}, false)
	}
	if there(dir) || j.size-j.made < ballastMost/8 {
		t.Errorf("made anew after %d bytes", j.size-j.made)
	}
	writeJournal(t, j, nil, true)
	if !there(dir) || b.inUse() != nil || j.Grown() {
		t.Error("not set aside again")
	}
	elsewhere := t.TempDir()
	j.Move(elsewhere)
	writeJournal(t, j, []record{{Name: "a"}}, true)
	got, err := readJournal[record](filepath.Join(elsewhere, JournalFile), testHead)
	if err != nil || len(got.Records) != 1 || !there(elsewhere) {
		t.Errorf("elsewhere: %+v, %v", got, err)
	}
}

// A failed write is made good by a whole file.
func TestJournalFull(t *testing.T) {
	j := NewJournal[record](t.TempDir(), Owner{Head: testHead}, &Ballast{})
	defer j.Close()
	writeJournal(t, j, []record{{Name: "a"}}, true)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	good := j.f
	j.f = full
	if err := errors.Join(j.Append([]record{{Name: "b"}}), good.Close()); err == nil || !j.Grown() {
		t.Fatalf("on a full disk: %v, %v", err, j.Grown())
	}
	writeJournal(t, j, []record{{Name: "a"}, {Name: "b"}}, true)
	got, err := readJournal[record](j.path(), testHead)
	if err != nil || len(got.Faults) > 0 || len(got.Records) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// seal gives each line the checksum that it would have, so that what is in the lines is reached. Of
// "{…" the first line is the head's.
func seal(data []byte) []byte {
	var b []byte
	for line := range bytes.Lines(data) {
		text, ended := bytes.CutSuffix(line, []byte{'\n'})
		b = fmt.Appendf(b, "%016x %s", checksum(text), text)
		if ended {
			b = append(b, '\n')
		}
	}
	return b
}

// FuzzReadJournal reads whatever may be there, as it is or with the right checksums: it is refused,
// or what comes of it is what a journal made of it says again.
func FuzzReadJournal(f *testing.F) {
	here := testHead
	here.User = 0 // the corpus is everybody's
	head, _, err := appendLine(nil, here)
	if err != nil {
		f.Fatal(err)
	}
	head = append(head, lengthLine(0)...)
	line, _, err := appendLine(slices.Clone(head),
		record{Name: "a", State: "ready", Main: identity{PID: 3, Pidfd: 4}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head, false)
	f.Add(line, false)
	f.Add(line[:len(line)-5], false)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed {
			data = seal(data)
		}
		path := filepath.Join(dir, "j")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readJournal[record](path, here)
		records := got.Records
		if err != nil && records != nil {
			t.Error("refused, and something came of it")
		}
		j := NewJournal[record](t.TempDir(), Owner{Head: here}, &Ballast{})
		defer j.Close()
		for name, r := range records {
			if r.Name != name || r.Gone {
				t.Errorf("%q: %+v", name, r)
			}
		}
		writeJournal(t, j, slices.Collect(maps.Values(records)), true)
		again, err := readJournal[record](j.path(), here)
		if err != nil || len(again.Faults) > 0 || len(again.Records) != len(records) {
			t.Errorf("%d records have become %+v: %v", len(records), again, err)
		}
	})
}
