//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/sys"
)

// patience is how long we wait for what must come: that a good program serves, that one with a
// fault dies.
const patience = 60 * time.Second

// launch is one start of a variant.
type launch struct {
	bench   *bench
	dir     string
	command []string
	env     []string
	user    string
	attr    *syscall.SysProcAttr
	port    string
	word    string
}

// outcome is what came of a launch in one of our ways.
type outcome struct {
	up    bool
	took  time.Duration
	lived time.Duration // of a false "up", how long it went on
	dead  bool          // it was called up, and ended by itself
	early bool          // it was called up, and did not serve yet
	not   bool          // a good one that was not called up
	note  string
}

func (o outcome) String() string {
	text := "not up"
	switch {
	case o.dead:
		text = fmt.Sprintf("UP, AND DEAD AFTER %v", o.lived.Round(time.Millisecond))
	case o.early:
		text = "up, and did not serve"
	case o.up:
		text = "up"
	}
	return fmt.Sprintf("%v %s %q", o.took.Round(time.Millisecond), text, o.note)
}

// measure starts a variant in all ways, once.
func (b *bench) measure(ctx context.Context, r *row) error {
	for _, way := range []struct {
		name string
		try  func(context.Context, *launch) (outcome, error)
		to   *[]outcome
	}{
		{"plain", plain(r.good), &r.plain}, {"detach", detach(r.good), &r.detach}, {"up",
			up(r.good), &r.up},
	} {
		l, err := b.prepare(r)
		if err != nil {
			return err
		}
		o, err := way.try(ctx, l)
		if b.verbose {
			fmt.Printf("%s; %s; %s: %s\n", r.program.name, r.variant.name, way.name, o)
		}
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", way.name, err, l.printed())
		}
		*way.to = append(*way.to, o)
		if err := os.RemoveAll(l.dir); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the directory of a launch.
func (b *bench) prepare(r *row) (*launch, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.launches++
	l := &launch{
		bench: b,
		dir:   b.in(strconv.Itoa(b.launches)),
		word:  r.program.word,
		user:  r.program.as(r.variant),
	}
	_, l.port, err = net.SplitHostPort(free.Addr().String())
	if err := errors.Join(err, free.Close()); err != nil {
		return nil, err
	}
	_, taken, err := net.SplitHostPort(b.taken.Addr().String())
	if err != nil {
		return nil, err
	}
	root := "#"
	if os.Geteuid() == 0 {
		root = ""
	}
	replace := strings.NewReplacer("@DIR@", l.dir, "@PORT@", l.port, "@TAKEN@", taken, "@BUILD@",
		b.dir, "@CLOSED@", b.in("closed"), "@ROOT@", root)
	for _, w := range r.variant.command {
		l.command = append(l.command, replace.Replace(w))
	}
	l.env = append(os.Environ(), "HOME="+l.dir, "npm_config_update_notifier=false",
		"DAEMONRY_ROOT="+b.in("root"))
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return nil, err
	}
	if from := "programs/" + r.program.files(); from != "programs/" {
		if err := b.write(from, l.dir, replace); err != nil {
			return nil, err
		}
	}
	l.attr, err = b.own(l.dir, l.user)
	return l, err
}

func (l *launch) output() string { return filepath.Join(l.dir, "output") }

func (l *launch) printed() []byte {
	data, _ := os.ReadFile(l.output()) // what is not there has printed nothing
	return data
}

// serves says whether the program does what it is for.
func (l *launch) serves() bool {
	if l.word != "" {
		return bytes.Contains(l.printed(), []byte(l.word))
	}
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+l.port, time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// command runs one of ours, in the directory of the launch.
func (l *launch) ours(
	ctx context.Context, words ...string,
) (status int, out, text string, err error) {
	c := exec.CommandContext(ctx, l.bench.daemonry, words...)
	// which leaves nothing behind
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var stdout, stderr strings.Builder
	c.Dir, c.Env, c.Stdout, c.Stderr = l.dir, l.env, &stdout, &stderr
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	return c.ProcessState.ExitCode(), strings.TrimSpace(stdout.String()),
		strings.TrimSpace(stderr.String()), err
}

// plain starts the program itself and waits until it serves, or until it dies.
func plain(good bool) func(context.Context, *launch) (outcome, error) {
	return func(ctx context.Context, l *launch) (o outcome, err error) {
		file, err := os.OpenFile(l.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return o, err
		}
		defer file.Close()
		c := exec.Command(l.command[0], l.command[1:]...)
		c.Dir, c.Env, c.SysProcAttr = l.dir, l.env, l.attr
		c.Stdout, c.Stderr = file, file
		began := time.Now()
		if err := c.Start(); err != nil {
			return o, err
		}
		died := make(chan struct{})
		go func() {
			_ = c.Wait() // how it ends is its own matter
			close(died)
		}()
		defer func() {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
			select {
			case <-died:
			case <-time.After(10 * time.Second):
			}
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-died
		}()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for end := began.Add(patience); time.Now().Before(end); {
			select {
			case <-died:
				if o.took = time.Since(began); good {
					return o, errors.New("the good one died")
				}
				return o, nil
			case <-ctx.Done():
				return o, ctx.Err()
			case <-tick.C:
				if good && l.serves() {
					o.up, o.took = true, time.Since(began)
					return o, nil
				}
			}
		}
		return o, fmt.Errorf("after %v it neither serves nor is dead", patience)
	}
}

// detach is "daemonry detach".
func detach(good bool) func(context.Context, *launch) (outcome, error) {
	return func(ctx context.Context, l *launch) (o outcome, err error) {
		pidFile := filepath.Join(l.bench.dir, "pid")
		words := []string{"detach", "--pidfile", pidFile, "--chdir", l.dir, "--stdout", l.output(),
			"--stderr", "stdout"}
		if l.user != "" {
			words = append(words, "--user", l.user, "--env", "HOME="+l.dir)
		}
		began := time.Now()
		status, out, text, err := l.ours(ctx, append(append(words, "--"), l.command...)...)
		o.took, o.up, o.note = time.Since(began), status == 0, text
		if o.not = good && !o.up; err != nil || !o.up {
			return o, err
		}
		pid, err := strconv.Atoi(out)
		if err != nil {
			return o, fmt.Errorf("detach printed %q: %w", out, err)
		}
		o.early = good && !l.serves()
		err = o.watch(ctx, l, good, func() bool {
			p, err := sys.Pin(pid)
			if err != nil {
				return false
			}
			return p.Close() == nil
		})
		if o.dead {
			return o, err
		}
		_, _, text, stopErr := l.ours(context.WithoutCancel(ctx), "stop", "--pidfile", pidFile)
		if text != "" {
			stopErr = errors.Join(stopErr, errors.New(text))
		}
		return o, errors.Join(err, stopErr)
	}
}

// watch goes on until a good program serves, and one with a fault is dead.
func (o *outcome) watch(ctx context.Context, l *launch, good bool, lives func() bool) error {
	began := time.Now()
	end := began.Add(patience)
	for ; time.Now().Before(end) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if !lives() {
			o.dead, o.lived = true, time.Since(began)
			return nil
		}
		if good && l.serves() {
			return nil
		}
	}
	return errors.Join(ctx.Err(),
		fmt.Errorf("%v after it was called up it neither serves nor is dead", patience))
}

// up is "daemonry up" with a file of one service.
func up(good bool) func(context.Context, *launch) (outcome, error) {
	return func(ctx context.Context, l *launch) (o outcome, err error) {
		var file strings.Builder
		fmt.Fprintf(
			&file, "restart = \"no\"\nchdir = %q\nstdout = %q\nstderr = \"stdout\"\ncommand = [",
			l.dir, l.output(),
		)
		for _, w := range l.command {
			fmt.Fprintf(&file, "%q, ", w)
		}
		file.WriteString("]\n")
		fmt.Fprintf(&file, "env = { HOME = %q }\n", l.dir)
		if l.user != "" {
			fmt.Fprintf(&file, "user = %q\n", l.user)
		}
		name := filepath.Join(l.dir, "s.toml")
		if err := os.WriteFile(name, []byte("[service.s]\n"+file.String()), 0o644); err != nil {
			return o, err
		}
		began := time.Now()
		status, _, text, err := l.ours(ctx, "up", "-f", name)
		o.took, o.up, o.note = time.Since(began), status == 0, text
		defer func() {
			err = errors.Join(err, l.bench.client.Remove(context.WithoutCancel(ctx),
				control.Names{Names: []string{"s"}}))
		}()
		if o.not = good && !o.up; err != nil || !o.up {
			return o, err
		}
		o.early = good && !l.serves()
		return o, o.watch(ctx, l, good, func() bool {
			list, err := l.bench.client.Status(ctx, control.StatusRequest{Names: []string{"s"}})
			if err != nil || len(list) != 1 || !list[0].Ready {
				return false
			}
			o.note = list[0].Reason
			return true
		})
	}
}
