// Command upgrade measures what clients of a supervisor notice of its upgrades: the longest pause
// of their requests, and how many requests a second there are with an upgrade every second and
// without any.
//
//	go build -o /tmp/daemonry ./cmd/daemonry &&
//		go run ./bench/survive/upgrade -daemonry /tmp/daemonry
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

func main() {
	log.SetFlags(0)
	program := flag.String("daemonry", "", "the daemonry `program`, which is upgraded to itself")
	services := flag.Int("n", 1000, "how many `services`")
	clients := flag.Int("clients", 4, "how many `clients` ask")
	lasting := flag.Duration("for", 5*time.Second, "how `long` each half lasts")
	flag.Parse()
	if err := measure(*program, *services, *clients, *lasting); err != nil {
		log.Fatal(err)
	}
}

func measure(program string, services, clients int, lasting time.Duration) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp("/tmp", "dmn")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := run(program, root, "supervisor", "start"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run(program, root, "supervisor", "stop")) }()
	c := &control.Client{Socket: filepath.Join(root, "run", "control.sock")}
	defer c.Close()
	ctx := context.Background()
	s := spec.Service{
		Name:      "s",
		Command:   spec.Command{"sleep", "100000"},
		Instances: services,
		Ready:     spec.Probe{Kind: spec.ProbeExec},
	}
	if _, err := c.Apply(ctx, control.ApplyRequest{Services: []spec.Service{s}}); err != nil {
		return err
	}
	quiet, err := ask(c.Socket, clients, lasting, func() error { time.Sleep(lasting); return nil })
	if err != nil {
		return err
	}
	var took []time.Duration
	busy, err := ask(c.Socket, clients, lasting, func() error {
		for end := time.Now().Add(lasting); time.Now().Before(end); {
			began := time.Now()
			if _, err := c.Upgrade(ctx, control.UpgradeRequest{Program: program}); err != nil {
				return err
			}
			took = append(took, time.Since(began))
			time.Sleep(time.Until(began.Add(time.Second)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(took)
	fmt.Printf("%d services, %d clients asking for one of them\n", services, clients)
	fmt.Printf("%-24s %12s %10s %10s\n", "", "requests/s", "p99", "longest")
	fmt.Printf("%-24s %12.0f %10v %10v\n",
		"no upgrade", quiet.rate(lasting), quiet.at(99), quiet.at(100))
	fmt.Printf("%-24s %12.0f %10v %10v\n",
		"an upgrade every second", busy.rate(lasting), busy.at(99), busy.at(100))
	fmt.Printf("%d upgrades, with the trial of the new program: median %v, longest %v\n",
		len(took), took[len(took)/2].Round(time.Millisecond),
		took[len(took)-1].Round(time.Millisecond))
	return nil
}

func run(program, root string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "DAEMONRY_ROOT="+root)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// times are how long requests took, in ascending order.
type times []time.Duration

func (t times) rate(d time.Duration) float64 { return float64(len(t)) / d.Seconds() }

func (t times) at(percent int) time.Duration {
	return t[min(len(t)-1, len(t)*percent/100)].Round(10 * time.Microsecond)
}

// ask has clients ask without a break while during lasts. Any error ends the measurement: there
// must be none.
func ask(socket string, clients int, lasting time.Duration, during func() error) (times, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all times
	var failed error
	var mu sync.Mutex
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			took, err := askOn(ctx, socket)
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, took...), errors.Join(failed, err)
		})
	}
	err := during()
	cancel()
	group.Wait()
	slices.Sort(all)
	if len(all) == 0 {
		return nil, errors.Join(err, failed, fmt.Errorf("no answer within %v", lasting))
	}
	return all, errors.Join(err, failed)
}

func askOn(ctx context.Context, socket string) (took times, err error) {
	c := &control.Client{Socket: socket}
	defer c.Close()
	for {
		began := time.Now()
		_, err := c.Status(ctx, control.StatusRequest{Names: []string{"s@1"}})
		if ctx.Err() != nil {
			return took, nil
		}
		if err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
}
