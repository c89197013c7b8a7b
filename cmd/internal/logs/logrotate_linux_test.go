package logs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logrotate is logrotate(8) with a configuration for one log; rotate runs it once.
type logrotate struct{ dir, log, conf string }

func newLogrotate(t *testing.T, log, how string) *logrotate {
	t.Helper()
	if _, err := exec.LookPath("logrotate"); err != nil {
		if _, err := os.Stat("/usr/sbin/logrotate"); err != nil {
			t.Skip("logrotate is not installed")
		}
	}
	l := &logrotate{dir: t.TempDir(), log: log}
	l.conf = filepath.Join(l.dir, "conf")
	text := fmt.Sprintf("%q {\n\trotate 1000\n\tmissingok\n\t%s\n}\n", log, how)
	if err := os.WriteFile(l.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *logrotate) rotate() error {
	program, err := exec.LookPath("logrotate")
	if err != nil {
		program = "/usr/sbin/logrotate" // where an ordinary user's PATH does not lead
	}
	cmd := exec.Command(program, "--force", "--state", filepath.Join(l.dir, "state"), l.conf)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// all returns what is in the rotated files and the log, the oldest first.
func (l *logrotate) all(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for i := 1000; i >= 0; i-- {
		path := fmt.Sprintf("%s.%d", l.log, i)
		if i == 0 {
			path = l.log
		}
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// numbered prints numbered lines until it is told to stop, and returns how many.
func numbered(w *os.File, stop <-chan struct{}) <-chan int {
	sum := make(chan int, 1)
	go func() {
		n := 0
		defer func() { sum <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := fmt.Fprintf(w, "line %d %s\n", n, strings.Repeat("x", n%100)); err != nil {
				return
			}
			n++
			time.Sleep(20 * time.Microsecond) // the pace, not a synchronisation
		}
	}()
	return sum
}

func numberedText(from, to int) []byte {
	var b bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %d %s\n", i, strings.Repeat("x", i%100))
	}
	return b.Bytes()
}

// TestLogrotateCreate has logrotate move the log away while a service prints: with and without a
// new file in its place, and whether or not the engine is told. Every line is in one of the files,
// once, in order.
func TestLogrotateCreate(t *testing.T) {
	for _, how := range []string{"create", "nocreate"} {
		for _, told := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/told=%v", how, told), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				path := r.path("a.log")
				s, w := r.open(t, "a", Config{})
				l := newLogrotate(t, path, how)
				stop := make(chan struct{})
				sum := numbered(w, stop)
				for range 3 {
					written(t, path, 1)
					if err := l.rotate(); err != nil {
						t.Fatal(err)
					}
					if told {
						if err := s.Reopen(); err != nil {
							t.Fatal(err)
						}
					}
				}
				written(t, path, 1)
				close(stop)
				n := <-sum
				mustDrain(t, s)
				if got, want := l.all(t), numberedText(0, n); !bytes.Equal(got, want) {
					t.Errorf("%d bytes in all files, %d were printed", len(got), len(want))
				}
			})
		}
	}
}

// written waits until at least size bytes are in the file.
func written(t *testing.T, path string, size int64) {
	t.Helper()
	eventually(t, "output in "+path, func() bool {
		fi, err := os.Stat(path)
		return err == nil && fi.Size() >= size
	})
}

// TestLogrotateCopytruncate: what is printed between logrotate's copy and its truncation is lost,
// by logrotate. A service that is quiet in that moment loses nothing, and a busy one no more than
// that: no line doubled, out of order or overwritten, no hole in a file.
func TestLogrotateCopytruncate(t *testing.T) {
	r := newRig(t)
	path := r.path("a.log")
	s, w := r.open(t, "a", Config{})
	l := newLogrotate(t, path, "copytruncate")
	const batch = 500
	n := 0
	for range 5 {
		if _, err := w.Write(numberedText(n, n+batch)); err != nil {
			t.Fatal(err)
		}
		n += batch
		mustDrain(t, s)
		if err := l.rotate(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := l.all(t), numberedText(0, n); !bytes.Equal(got, want) {
		t.Fatalf("quiet while it was truncated: %d bytes in all files, %d were printed",
			len(got), len(want))
	}

	_, w = r.open(t, "b", Config{})
	l = newLogrotate(t, r.path("b.log"), "copytruncate")
	stop := make(chan struct{})
	sum := numbered(w, stop)
	for range 5 {
		written(t, r.path("b.log"), 20_000)
		if err := l.rotate(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	n = <-sum
	if err := r.streams["b"].Drain(); err != nil {
		t.Fatal(err)
	}
	got := l.all(t)
	if bytes.IndexByte(got, 0) >= 0 {
		t.Error("a file has a hole")
	}
	last, broken, seen := -1, 0, 0
	for text := range bytes.Lines(got) {
		var i int
		if _, err := fmt.Sscanf(string(text), "line %d ", &i); err != nil ||
			!bytes.Equal(text, numberedText(i, i+1)) {
			broken++ // where logrotate has cut
			continue
		}
		if i <= last {
			t.Fatalf("line %d after line %d", i, last)
		}
		last = i
		seen++
	}
	if broken > 2*5 {
		t.Errorf("%d broken lines from 5 truncations", broken)
	}
	t.Logf("%d of %d lines are there", seen, n)
}
