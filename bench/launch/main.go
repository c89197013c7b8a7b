//go:build linux || darwin || freebsd || openbsd || netbsd

// Command launch measures what it costs to start a daemon, with daemonry and with the programs that
// people use today.
//
//	go run ./bench/launch -n 200
//
// The rows take turns, so that a machine that gets slower gets slower for all of
// them, and the ratios mean more than the times. It needs gcc, and leaves out
// what is not installed:
//
//	apt-get install gcc libc6-dev daemonize daemon dpkg util-linux
//
// What the others do before they return differs: only daemonry, in all its
// rows, knows by then that the program was executed or has come up.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// row is one way to start something. The last argument of its command is the
// FIFO, but for the programs that start nothing.
type row struct {
	name    string
	command []string
	nothing bool // starts no daemon
	samples []sample
}

// sample is what measure.c prints of one launch.
type sample struct {
	returned, entered, cpu time.Duration
	peak                   int // KiB
}

func main() {
	n := flag.Int("n", 100, "rounds")
	flag.Parse()
	if err := run(*n, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
		os.Exit(1)
	}
}

func run(rounds int, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "launch")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(dir); err != nil {
		return err
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return err
	}
	rows := installed(rowsIn(dir, fifo), out)
	for round := range rounds + 1 {
		for _, r := range rows {
			s, err := r.measure(dir, fifo)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if round > 0 { // the first fills the caches
				r.samples = append(r.samples, s)
			}
		}
	}
	return print(rows, out)
}

// build makes the programs in dir: ours as they are released, the C ones with
// nothing but -O2.
func build(dir string) error {
	const module = "github.com/daemonry/daemonry"
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "bench", "launch")
	command := func(name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Dir = source
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
		}
		return nil
	}
	for _, name := range []string{"measure", "target", "empty"} {
		if err := command("gcc", "-O2", "-Wall", "-o", filepath.Join(dir, name),
			"c/"+name+".c"); err != nil {
			return err
		}
	}
	for name, pkg := range map[string]string{
		"daemonry": "../../cmd/daemonry", "library": "./library", "empty-go": "./empty",
	} {
		if err := command("go", "build", "-trimpath", "-ldflags=-s -w", "-o",
			filepath.Join(dir, name), pkg); err != nil {
			return err
		}
	}
	return os.Symlink("daemonry", filepath.Join(dir, "daemonize"))
}

// rowsIn lists the rows; the empty Go program comes first, the others are
// compared with it.
func rowsIn(dir, fifo string) []*row {
	in := func(name string) string { return filepath.Join(dir, name) }
	with := func(words ...string) []string { return append(words, in("target"), fifo) }
	return []*row{
		{name: "empty Go program", command: []string{in("empty-go")}, nothing: true},
		{name: "empty C program", command: []string{in("empty")}, nothing: true},
		{name: "daemonry --ready=exec",
			command: with(in("daemonry"), "detach", "--ready=exec", "--")},
		{name: "daemonry --ready=notify",
			command: with(in("daemonry"), "detach", "--ready=notify", "--")},
		{name: "daemonry as daemonize", command: with(in("daemonize"))},
		{name: "daemonry, the library", command: []string{in("library"), fifo}},
		{name: "setsid -f", command: with("setsid", "-f")},
		{name: "daemonize", command: with("daemonize")},
		{name: "start-stop-daemon", command: []string{"start-stop-daemon", "--start",
			"--background", "--pidfile", in("none.pid"), "--startas", in("target"), "--", fifo}},
		{name: "daemon (libslack)", command: with("daemon", "--unsafe", "--")},
	}
}

// installed leaves out the rows whose program is not there, and says so.
func installed(rows []*row, out io.Writer) []*row {
	return slices.DeleteFunc(rows, func(r *row) bool {
		path, err := exec.LookPath(r.command[0])
		if err != nil {
			fmt.Fprintf(out, "left out: %s: %v\n", r.name, err)
			return true
		}
		r.command[0] = path
		return false
	})
}

func (r *row) measure(dir, fifo string) (sample, error) {
	if r.nothing {
		fifo = "-"
	}
	cmd := exec.Command(filepath.Join(dir, "measure"), append([]string{fifo}, r.command...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	line, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, &stderr)
	}
	var s sample
	var cpu int64
	if _, err := fmt.Sscan(string(line), &s.returned, &s.entered, &cpu, &s.peak); err != nil {
		return sample{}, fmt.Errorf("measure printed %q: %w", line, err)
	}
	s.cpu = time.Duration(cpu) * time.Microsecond
	return s, nil
}

// print writes the medians, and after each how many times the empty Go
// program's time until it returned it is.
func print(rows []*row, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w,
		"\tuntil it returns\t\tuntil the daemon's main\t\tCPU\tpeak memory\tsize of file\t")
	base := median(rows[0].samples, func(s sample) time.Duration { return s.returned })
	for _, r := range rows {
		size, err := os.Stat(r.command[0])
		if err != nil {
			return err
		}
		returned := median(r.samples, func(s sample) time.Duration { return s.returned })
		entered := median(r.samples, func(s sample) time.Duration { return s.entered })
		cpu := median(r.samples, func(s sample) time.Duration { return s.cpu })
		peak := median(r.samples, func(s sample) int { return s.peak })
		main := "\t"
		if !r.nothing {
			main = ratio(entered, base)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f ms\t%.1f MiB\t%.2f MiB\t\n", r.name, ratio(returned, base),
			main, ms(cpu), float64(peak)/1024, float64(size.Size())/(1<<20))
	}
	return w.Flush()
}

func ratio(d, base time.Duration) string {
	return fmt.Sprintf("%.2f ms\t%.2f×", ms(d), float64(d)/float64(base))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median returns the middle one of a figure's values.
func median[T int | time.Duration](samples []sample, figure func(sample) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
