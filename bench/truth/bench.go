//go:build linux

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/control"
)

//go:embed programs
var sources embed.FS

// bench is what all launches share.
type bench struct {
	dir        string // everything is in it
	daemonry   string
	supervisor *exec.Cmd
	client     *control.Client
	taken      net.Listener // the port that is taken
	verbose    bool
	launches   int
}

// newBench makes it; it is to be closed also if that has failed.
func newBench(ctx context.Context) (b *bench, err error) {
	// Main has one thread for good: the loops and the plain starts end with it (PR_SET_PDEATHSIG of
	// prctl(2)).
	runtime.LockOSThread()
	b = &bench{}
	if b.dir, err = os.MkdirTemp("", "truth"); err != nil {
		return b, err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { // other users' programs work below it
		return b, err
	}
	if b.taken, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return b, err
	}
	if err := b.build(ctx); err != nil {
		return b, err
	}
	return b, b.supervise(ctx)
}

func (b *bench) in(name string) string { return filepath.Join(b.dir, name) }

// build makes what is made once: our program, the compiled ones, a database.
func (b *bench) build(ctx context.Context) error {
	b.daemonry = b.in("daemonry")
	steps := [][]string{
		{"go", "build", "-trimpath", "-o", b.daemonry, "github.com/daemonry/daemonry/cmd/daemonry"},
		{"go", "build", "-trimpath", "-o", b.in("go"),
			"github.com/daemonry/daemonry/bench/truth/server"},
	}
	for _, name := range []string{"closed", "pg", "pgcut", "java"} {
		if err := os.Mkdir(b.in(name), 0o700); err != nil {
			return err
		}
	}
	if _, err := exec.LookPath("javac"); err == nil {
		if err := b.write("programs/java", b.in("java"), strings.NewReplacer()); err != nil {
			return err
		}
		steps = append(steps,
			[]string{"sh", "-c", "javac -d " + b.in("java") + " " + b.in("java") + "/*.java"})
	}
	for _, words := range steps {
		if err := output(exec.CommandContext(ctx, words[0], words[1:]...)); err != nil {
			return err
		}
	}
	if _, err := exec.LookPath("initdb"); err != nil {
		return nil
	}
	for _, name := range []string{"pg", "pgcut"} {
		attr, err := b.own(b.in(name), programNamed("PostgreSQL").as(variant{}))
		if err != nil {
			return err
		}
		c := exec.CommandContext(ctx, "initdb", "-D", b.in(name), "-A", "trust", "--no-sync")
		c.SysProcAttr = attr
		if err := output(c); err != nil {
			return err
		}
	}
	return os.Remove(b.in("pgcut/global/pg_control"))
}

func programNamed(name string) program {
	for _, p := range programs() {
		if p.name == name {
			return p
		}
	}
	return program{}
}

// output runs a command, which says what went wrong.
func output(c *exec.Cmd) error {
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, text)
	}
	return nil
}

// own gives a directory to a user, "" for us, and says how to become that user.
func (b *bench) own(dir, name string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if name == "" {
		return attr, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, int(uid), int(gid))
}

// write writes the files of a directory of ours into another one.
func (b *bench) write(from, to string, replace *strings.Replacer) error {
	return fs.WalkDir(sources, from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := sources.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return os.WriteFile(name, []byte(replace.Replace(string(data))), 0o644)
	})
}

// supervise starts a supervisor of our own and waits until it answers.
func (b *bench) supervise(ctx context.Context) error {
	c := exec.Command(b.daemonry, "supervisor", "run")
	c.Env, c.Stderr = append(os.Environ(), "DAEMONRY_ROOT="+b.in("root")), os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who end it
	if err := c.Start(); err != nil {
		return err
	}
	b.supervisor, b.client = c, &control.Client{Socket: b.in("root/run/control.sock")}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := b.client.Supervisor(ctx)
		if err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the supervisor does not answer: %w", err)
		}
	}
}

func (b *bench) close() (err error) {
	if b.supervisor != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err = b.client.Shutdown(ctx); err != nil {
			// which does the same
			err = errors.Join(err, b.supervisor.Process.Signal(syscall.SIGTERM))
		}
		err = errors.Join(err, b.supervisor.Wait())
		b.client.Close()
	}
	if b.taken != nil {
		err = errors.Join(err, b.taken.Close())
	}
	if b.dir == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}
