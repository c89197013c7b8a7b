//go:build linux

// Command truth measures whether "up" is true when nobody says what it means: how often a program
// that dies of its start is called up, and how long the good ones wait for it.
//
//	go run ./bench/truth -n 20
//	go run ./bench/truth -n 20 -load 4
//	go run ./bench/truth -n 5 -only Java,nginx
//
// Every program is started good and with real faults, by "daemonry detach" and by "daemonry up",
// both with the default readiness, in turns with a plain start that shows when it serves, or dies,
// by itself. False is every "up" of a program that then ends by itself, however late. With -load it
// starts that many loops that do nothing but calculate, and ends them. A program that is not
// installed is named and left out:
//
//	apt-get install python3 gunicorn nodejs npm ruby perl php-cli default-jdk-headless \
//		nginx-light redis-server postgresql
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	n := flag.Int("n", 20, "launches of each variant in each way")
	load := flag.Int("load", 0, "busy `loops` beside them")
	only := flag.String("only", "", "`names` of programs, with commas")
	verbose := flag.Bool("v", false, "say each launch")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *n, *load, *only, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n, load int, only string, verbose bool) (err error) {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	b, err := newBench(ctx)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	b.verbose = verbose
	end, err := busy(load)
	if err != nil {
		return err
	}
	defer end()
	var rows []*row
	for _, p := range chosen {
		rows = append(rows, newRow(p, p.good, true))
		for _, v := range p.bad {
			if v.root && os.Geteuid() != 0 {
				fmt.Printf("not tried: %s, %s: needs root\n", p.name, v.name)
				continue
			}
			rows = append(rows, newRow(p, v, false))
		}
	}
	defer print(rows, load)
	for range n {
		for _, r := range rows {
			err := b.measure(ctx, r)
			if errors.Is(err, fs.ErrPermission) {
				fmt.Printf("not tried: %s, %s: %v\n", r.program.name, r.variant.name, err)
			} else if err != nil {
				return fmt.Errorf("%s, %s: %w", r.program.name, r.variant.name, err)
			}
		}
	}
	return nil
}

// choose returns the programs that are asked for and installed, and names the others.
func choose(only string) (list []program, err error) {
	names := strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
	for _, p := range programs() {
		if i := slices.Index(names, p.name); i >= 0 {
			names = slices.Delete(names, i, i+1)
		} else if only != "" {
			continue
		}
		if name := p.missing(); name != "" {
			fmt.Printf("not tried: %s: %s is not installed\n", p.name, name)
			continue
		}
		list = append(list, p)
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("-only: no program %q", names[0])
	}
	return list, nil
}

// busy starts loops that calculate. They end with us, whatever becomes of us.
func busy(n int) (end func(), err error) {
	var loops []*exec.Cmd
	end = func() {
		for _, c := range loops {
			_ = c.Process.Kill()
			_ = c.Wait() // it was killed
		}
	}
	for range n {
		c := exec.Command("sh", "-c", "while :; do :; done")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			end()
			return nil, err
		}
		loops = append(loops, c)
	}
	return end, nil
}
