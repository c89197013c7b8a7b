package logs

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// helperEngine carries the stream "svc" until it is killed: dir, rotation size.
func helperEngine(args []string) error {
	size, _ := strconv.ParseInt(args[1], 10, 64)
	e, err := New(Options{Dir: filepath.Join(args[0], "run"), Workers: 1})
	if err != nil {
		return err
	}
	if _, err := e.Open("svc", crashConfig(args[0], size)); err != nil {
		return err
	}
	fmt.Println("up")
	select {}
}

func crashConfig(dir string, size int64) Config {
	return Config{Path: filepath.Join(dir, "log", "svc.log"), Rotate: Rotate{Size: size, Keep: -1}}
}

// helperCounter prints n numbered lines of varying length as fast as it can.
func helperCounter(args []string) error {
	n, _ := strconv.Atoi(args[0])
	w := bufio.NewWriterSize(os.Stdout, 3000)
	for i := range n {
		writeNumbered(w, i)
		if i%7 == 0 {
			w.Flush()
		}
	}
	return w.Flush()
}

// writeNumbered writes line i, whose length and content follow from i, so that a line cut, joined
// or doubled is seen.
func writeNumbered(w *bufio.Writer, i int) {
	h := fnv.New32a()
	fmt.Fprint(h, i)
	pad := int(h.Sum32() % 200)
	if i%1000 == 0 {
		pad *= 500
	}
	fmt.Fprintf(w, "%d %s %08x\n", i, strings.Repeat("ab\x00\xff", pad/4), h.Sum32())
}

func checkNumbered(t *testing.T, got []byte, n int) {
	t.Helper()
	var want bytes.Buffer
	w := bufio.NewWriter(&want)
	for i := range n {
		writeNumbered(w, i)
	}
	w.Flush()
	if bytes.Equal(got, want.Bytes()) {
		return
	}
	exp := want.Bytes()
	i := 0
	for i < len(got) && i < len(exp) && got[i] == exp[i] {
		i++
	}
	line := bytes.Count(exp[:i], []byte{'\n'})
	t.Fatalf(
		"%d bytes instead of %d; the first difference is in line %d (byte %d): got %.60q want "+
			"%.60q",
		len(got), len(exp), line, i, got[i:min(len(got), i+60)], exp[i:min(len(exp), i+60)],
	)
}

// TestKilledEngineLosesAndDoublesNothing kills the engine's process -9 at random moments while a
// service prints at full speed; the next engine goes on. Every line is in the files once, in order.
func TestKilledEngineLosesAndDoublesNothing(t *testing.T) {
	dir := t.TempDir()
	lines, kills := 400_000, 60
	if os.Getenv("DAEMONRY_LONG") != "" {
		lines, kills = 10_000_000, 3000
	}
	engine := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], dir, "1000000")
		cmd.Env = append(os.Environ(), "DAEMONRY_TEST_HELPER=engine")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("engine said %q: %v", line, err)
		}
		return cmd
	}
	kill := func(cmd *exec.Cmd) {
		cmd.Process.Kill()
		cmd.Wait()
	}
	first := engine()
	// The service's end, as the engine would hand it out.
	end, err := os.OpenFile(filepath.Join(dir, "run", "fifo", "svc"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	svc := exec.Command(os.Args[0], strconv.Itoa(lines))
	svc.Env = append(os.Environ(), "DAEMONRY_TEST_HELPER=counter")
	svc.Stdout = end
	if err := svc.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- svc.Wait() }()

	cmd, killed := first, 0
	for running := true; running; {
		select {
		case err := <-exited:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(time.Duration(rand.IntN(4000)) * time.Microsecond):
			if killed < kills {
				kill(cmd)
				cmd = engine()
				killed++
			}
		}
	}
	kill(cmd)
	t.Logf("killed %d times", killed+1)
	e, err := New(Options{Dir: filepath.Join(dir, "run")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Open("svc", crashConfig(dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	mustDrain(t, s)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	checkNumbered(t, whole(t, filepath.Join(dir, "log", "svc.log")), lines)
}
