//go:build linux

// Command survive measures what it takes to go on after a supervisor was killed.
//
//	go run ./bench/survive
//	go run ./bench/survive -n 100,1000 -rounds 3
//
// It starts a supervisor with that many services, which do nothing, kills it with SIGKILL, starts
// another one, and sees that it is the same services that run. The time is from the start of the
// program until the API answers, which it does when all living services have been taken over. The
// memory is what the supervisor has for itself (PSS of proc_pid_smaps_rollup(5)), before and after.
// It needs gcc for the services.
package main

import (
	"bytes"
	"context"
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

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

func main() {
	sizes := flag.String("n", "1,100,1000,5000", "`numbers` of services")
	rounds := flag.Int("rounds", 5, "how often each is measured; the table shows medians")
	flag.Parse()
	if err := run(*sizes, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "survive:", err)
		os.Exit(1)
	}
}

func run(sizes string, rounds int) (err error) {
	dir, err := os.MkdirTemp("/dev/shm", "sv") // in memory, as /run is
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(dir); err != nil {
		return err
	}
	fmt.Println("| services | taken over after | processor time | journal | memory before | " +
		"after | for each service |")
	fmt.Println("|---|---|---|---|---|---|---|")
	var base int64
	for f := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 {
			return fmt.Errorf("-n: %q is no number of services", f)
		}
		var took, used []time.Duration
		var before, after []int64
		var journal int64
		for range rounds {
			m, err := measure(dir, n)
			if err != nil {
				return fmt.Errorf("%d services: %w", n, err)
			}
			took, used = append(took, m.took), append(used, m.used)
			before, after = append(before, m.before), append(after, m.after)
			journal = m.journal
		}
		if base == 0 {
			base = median(after)
		}
		fmt.Printf("| %d | %.0f ms | %.0f ms | %d KiB | %.1f MiB | %.1f MiB | %.1f KiB |\n",
			n, milli(median(took)), milli(median(used)), journal>>10,
			mebi(median(before)), mebi(median(after)), float64(median(after)-base)/float64(n)/1024)
	}
	return nil
}

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func mebi(n int64) float64 { return float64(n) / (1 << 20) }

func median[T int64 | time.Duration](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

// build makes our program as it is released, and a static service, the cheapest to run.
func build(dir string) error {
	source := filepath.Join(dir, "service.c")
	if err := os.WriteFile(source,
		[]byte("#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"), 0o600); err != nil {
		return err
	}
	for _, words := range [][]string{
		{"gcc", "-O2", "-static", "-o", dir + "/service", source},
		{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir + "/daemonry",
			"github.com/daemonry/daemonry/cmd/daemonry"},
	} {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stderr = os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(words, " "), err)
		}
	}
	return nil
}

type measured struct {
	took, used             time.Duration
	before, after, journal int64
}

func measure(dir string, n int) (m measured, err error) {
	root := filepath.Join(dir, "root")
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	client := &control.Client{Socket: filepath.Join(root, "run", "control.sock")}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	first, err := supervisor(ctx, dir, root, client)
	if err != nil {
		return m, err
	}
	s := spec.Service{
		Name:      "s",
		Command:   spec.Command{dir + "/service"},
		Instances: n,
		Ready:     spec.Probe{Kind: spec.ProbeExec},
	}
	if _, err := client.Apply(ctx,
		control.ApplyRequest{Source: "bench", Services: []spec.Service{s}}); err != nil {
		return m, errors.Join(err, first.Process.Kill())
	}
	pids, err := processes(ctx, client)
	if err != nil {
		return m, err
	}
	time.Sleep(time.Second) // until what is written behind is written
	m.before = memory(first.Process.Pid)
	if err := first.Process.Kill(); err != nil {
		return m, err
	}
	_ = first.Wait() // it was killed
	client.Close()
	if info, err := os.Stat(filepath.Join(root, "run", "services.journal")); err == nil {
		m.journal = info.Size()
	}
	began := time.Now()
	second, err := supervisor(ctx, dir, root, client)
	m.took = time.Since(began)
	m.used = processorTime(second.Process.Pid)
	if err != nil {
		return m, err
	}
	again, err := processes(ctx, client)
	if err == nil && !slices.Equal(pids, again) {
		err = errors.New("they are not the same processes")
	}
	time.Sleep(time.Second)
	m.after = memory(second.Process.Pid)
	return m, errors.Join(err, client.Shutdown(ctx), second.Wait())
}

// supervisor starts one and returns when it answers.
func supervisor(ctx context.Context, dir, root string, client *control.Client) (*exec.Cmd, error) {
	cmd := exec.Command(dir+"/daemonry", "supervisor", "run")
	cmd.Env = append(os.Environ(), "DAEMONRY_ROOT="+root)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for {
		_, err := client.Supervisor(ctx)
		if err == nil {
			return cmd, nil
		}
		if ctx.Err() != nil {
			return nil, errors.Join(err, cmd.Process.Kill())
		}
		time.Sleep(time.Millisecond)
	}
}

// processes are those of the services, all of which are up.
func processes(ctx context.Context, client *control.Client) (pids []int, err error) {
	list, err := client.Status(ctx, control.StatusRequest{})
	for _, s := range list {
		if s.PID == 0 || !s.Ready {
			return nil, fmt.Errorf("%s: %s: %s", s.Name, s.State, s.Reason)
		}
		pids = append(pids, s.PID)
	}
	return pids, err
}

// processorTime adds up how long the threads of a process have run.
func processorTime(pid int) (sum time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		data, err := os.ReadFile(file)
		var ns int64
		if _, scanErr := fmt.Sscan(string(data), &ns); err == nil && scanErr == nil {
			sum += time.Duration(ns)
		}
	}
	return sum
}

func memory(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(data, []byte("\nPss:"))
	var kib int64
	if _, err := fmt.Sscan(string(after), &kib); err != nil {
		return 0
	}
	return kib << 10
}
