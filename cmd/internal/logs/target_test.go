package logs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/target"
)

func init() { helpers["copy"] = helperCopy }

// helperCopy appends its standard input to a file, and ends after a line that says so.
func helperCopy(args []string) error {
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	var l []byte
	for {
		if _, err := os.Stdin.Read(b[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if l = append(l, b[0]); b[0] != '\n' {
			continue
		}
		if _, err := f.Write(l); err != nil {
			return err
		}
		if string(l) == "end\n" {
			return nil
		}
		l = l[:0]
	}
}

// server is a syslog server on a datagram socket that collects what it gets.
type server struct {
	conn net.PacketConn
	done chan struct{}

	mu  sync.Mutex
	got []string
}

func serve(t *testing.T, path string) *server {
	t.Helper()
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{conn: c, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		buf := make([]byte, 64<<10)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, text, _ := bytes.Cut(buf[:n], []byte(" - "))
			_, text, _ = bytes.Cut(text, []byte(" - "))
			s.mu.Lock()
			s.got = append(s.got, string(text))
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *server) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

func (s *server) stop(path string) {
	s.conn.Close()
	<-s.done
	os.Remove(path)
}

var droppedRE = regexp.MustCompile(
	`^daemonry: (\d+) lines \((\d+) bytes\) dropped from \S+ to \S+: (.+)`,
)

// TestTargetThatIsDead has a syslog server that is not there for most of the time: the file gets
// every line, the service never waits, and the server is told how many lines it missed.
func TestTargetThatIsDead(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.dir, "syslog")
	first := serve(t, path)
	s, w := r.open(t, "a", Config{
		Buffer:  20_000,
		Targets: []Target{{Kind: Syslog, Network: "unix", Addr: path, Facility: 3}},
	})
	sent := 0
	say := func(n int) {
		t.Helper()
		var b strings.Builder
		for range n {
			fmt.Fprintf(&b, "line %d\n", sent)
			sent++
		}
		if _, err := w.WriteString(b.String()); err != nil {
			t.Fatal(err)
		}
		mustDrain(t, s)
	}
	say(100)
	eventually(t, "the server has 100 lines", func() bool { return len(first.lines()) == 100 })
	first.stop(path)
	from := time.Now()
	say(5000)
	if d := time.Since(from); d > 30*time.Second {
		t.Errorf("the dead server held the service up for %v", d)
	}
	second := serve(t, path)
	var got []string
	var lost, lostBytes int
	eventually(t, "the server knows of every line", func() bool {
		got, lost, lostBytes = nil, 0, 0
		for _, l := range second.lines() {
			var n, size int
			if m := droppedRE.FindStringSubmatch(l); m != nil {
				fmt.Sscan(m[1], &n)
				fmt.Sscan(m[2], &size)
				lost += n
				lostBytes += size
				continue
			}
			got = append(got, l)
		}
		return 100+len(got)+lost == sent
	})
	if lost == 0 || lostBytes == 0 {
		t.Errorf("nothing was dropped: the buffer is not bounded")
	}
	last := -1
	for _, l := range got {
		var i int
		if _, err := fmt.Sscanf(l, "line %d", &i); err != nil || i <= last {
			t.Fatalf("%q after line %d", l, last)
		}
		last = i
	}
	say(1)
	eventually(t, "the server gets lines again", func() bool {
		l := second.lines()
		return l[len(l)-1] == fmt.Sprint("line ", sent-1)
	})
	second.stop(path)
	if got := whole(t, r.path("a.log")); bytes.Count(got, []byte{'\n'}) != sent {
		t.Errorf("%d lines in the file, %d sent", bytes.Count(got, []byte{'\n'}), sent)
	}
}

// TestBlockWaitsForTheTarget is the same with Block: nothing is dropped.
func TestBlockWaitsForTheTarget(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.dir, "syslog")
	_, w := r.open(t, "a", Config{
		Buffer: 20_000, Block: true,
		Targets: []Target{{Kind: Syslog, Network: "unix", Addr: path}},
	})
	const n = 30_000 // more than pipe and buffer hold
	wrote := make(chan error, 1)
	go func() {
		b := bufio.NewWriter(w)
		for i := range n {
			fmt.Fprintf(b, "line %d %s\n", i, strings.Repeat("x", 50))
		}
		wrote <- b.Flush()
	}()
	select {
	case <-wrote:
		t.Fatal("the service did not have to wait")
	case <-time.After(300 * time.Millisecond):
	}
	s := serve(t, path)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	eventually(t, "every line is there", func() bool { return len(s.lines()) == n })
	s.stop(path)
	for i, l := range s.lines() {
		if !strings.HasPrefix(l, fmt.Sprintf("line %d ", i)) {
			t.Fatalf("line %d is %q", i, l)
		}
	}
}

// TestProgram pipes lines into a program that ends now and then: it is started again and misses
// none.
func TestProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copied := filepath.Join(dir, "copied")
	var running sync.WaitGroup
	starts := 0
	e, err := New(Options{
		Dir: filepath.Join(dir, "run"),
		StartProgram: func(id, command string, stdin *os.File) (<-chan struct{}, error) {
			starts++
			cmd := exec.Command(os.Args[0], copied)
			cmd.Env = append(os.Environ(), "DAEMONRY_TEST_HELPER=copy")
			cmd.Stdin, cmd.Stderr = stdin, os.Stderr
			if err := cmd.Start(); err != nil {
				return nil, err
			}
			exited := make(chan struct{})
			running.Go(func() {
				cmd.Wait()
				close(exited)
			})
			return exited, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Open("a", Config{Targets: []Target{{Kind: Program, Command: "copy"}}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.ServiceEnd()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var want strings.Builder
	for range 3 {
		for i := range 500 {
			fmt.Fprintf(&want, "line %d\n", i)
			fmt.Fprintf(w, "line %d\n", i)
		}
		want.WriteString("end\n")
		fmt.Fprintln(w, "end")
		eventually(t, "the program has copied what came", func() bool {
			b, _ := os.ReadFile(copied)
			return string(b) == want.String()
		})
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	running.Wait() // the end of its input ends it
	if starts != 3 {
		t.Errorf("started %d times", starts)
	}
}

func TestConsoleTarget(t *testing.T) {
	dir := t.TempDir()
	tty, err := os.Create(filepath.Join(dir, "tty"))
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	e, err := New(Options{Dir: filepath.Join(dir, "run"), Console: target.Console{File: tty}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s, err := e.Open(fmt.Sprint("svc", i), Config{Targets: []Target{{Kind: Console}}})
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.ServiceEnd()
		if err != nil {
			t.Fatal(err)
		}
		for j := range 100 {
			fmt.Fprintln(w, "line", j)
		}
		w.Close()
	}
	if err := e.Close(); err != nil { // brings everything out
		t.Fatal(err)
	}
	b, err := os.ReadFile(tty.Name())
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		var svc string
		var j int
		if _, err := fmt.Sscanf(l, "%s | line %d", &svc, &j); err != nil || next[svc] != j {
			t.Fatalf("%q, expected line %d", l, next[svc])
		}
		next[svc]++
	}
	if len(next) != 3 || next["svc2"] != 100 {
		t.Errorf("%v", next)
	}
}

func TestTargetsThatCannotBe(t *testing.T) {
	r := newRig(t)
	for _, bad := range []Target{
		{}, {Kind: 99}, {Kind: Console}, {Kind: Program}, {Kind: Syslog, Network: "x"},
	} {
		if _, err := r.Open("a", Config{Targets: []Target{bad}}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
