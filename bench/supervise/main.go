//go:build linux

// Command supervise measures what it costs to keep many services running, with daemonry and with
// the supervisors that people use today.
//
//	go run ./bench/supervise
//	go run ./bench/supervise -n 100,1000 -idle 5s -only daemonry,runit
//
// Every supervisor gets the same services: a static C program that notes when it
// started and sleeps. They take turns, beside a C loop that does nothing but
// posix_spawn(3), so that a machine that gets slower gets slower for all of them,
// and the ratios mean more than the times. It needs gcc, and leaves out what is not
// installed:
//
//	apt-get install gcc libc6-dev supervisor runit s6
//
// What they do differs. daemonry and supervisord capture the output of each
// service; runit and s6 are spared that, and the shell script that mostly starts a
// service there. Only daemonry waits until a service is ready.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the command line's.
type options struct {
	sizes  []int
	rounds int
	idle   time.Duration
	limit  time.Duration
	kills  int
	only   string
}

func main() {
	var o options
	sizes := flag.String("n", "100,1000,10000", "`numbers` of services")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the table shows medians")
	flag.DurationVar(&o.idle, "idle", time.Minute,
		"how long they are watched doing nothing, in the last round")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "when a start or a stop is given up")
	flag.IntVar(&o.kills, "kills", 200, "how many services are killed, each once")
	flag.StringVar(&o.only, "only", "", "`names` of the supervisors to measure")
	flag.Parse()
	for f := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "supervise: -n: %q is no number of services\n", f)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, n)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "supervise:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	// A short path, for sockets lie below it; in memory, as what supervisors keep of services is in
	// /run.
	dir, err := os.MkdirTemp("/dev/shm", "sup")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(dir); err != nil {
		return err
	}
	list := installed(dir, o.only)
	base := map[string]int64{}
	for _, m := range list {
		f, err := o.measure(dir, m, 1, false)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name(), err)
		}
		base[m.name()] = f.pss
	}
	for _, n := range o.sizes {
		found := map[string][]figures{}
		for round := range o.rounds {
			for _, m := range list {
				if len(found[m.name()]) < round {
					continue // it was given up
				}
				f, err := o.measure(dir, m, n, round == o.rounds-1)
				var gaveUp *gaveUpError
				if err != nil && !errors.As(err, &gaveUp) {
					return fmt.Errorf("%s: %w", m.name(), err)
				}
				if err != nil {
					fmt.Printf("%s, %d services: %v\n", m.name(), n, err)
					continue
				}
				found[m.name()] = append(found[m.name()], f)
			}
		}
		print(n, list, found, base)
	}
	return nil
}

// build makes the programs in dir: ours as it is released, the C ones with
// nothing but -O2, the service static as the cheapest to start.
func build(dir string) error {
	const module = "github.com/daemonry/daemonry"
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	for _, words := range [][]string{
		{"gcc", "-O2", "-Wall", "-static", "-o", dir + "/service", "c/service.c"},
		{"gcc", "-O2", "-Wall", "-o", dir + "/bare", "c/bare.c"},
		{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir + "/daemonry",
			"../../cmd/daemonry"},
	} {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = filepath.Join(strings.TrimSpace(string(root)), "bench", "supervise")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, text)
		}
	}
	return nil
}

// installed lists the supervisors, and says which are left out.
func installed(dir, only string) []manager {
	all := []manager{&bare{}, &daemonry{}, &supervisord{}, &runit{}, &s6{}}
	return slices.DeleteFunc(all, func(m manager) bool {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.name()) {
			return true
		}
		program := m.program(dir)
		if _, err := exec.LookPath(program); err != nil {
			fmt.Printf("left out: %v\n", err)
			return true
		}
		return false
	})
}
