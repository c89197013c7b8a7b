//go:build linux

package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// counter prints numbered lines, each by one write(2), and a last word when it is asked to end: 500
// as fast as it is let, then it rests, or what many of them print would fill the disk.
var counter = proctest.Register("counter", func(args []string) int {
	rest, err := time.ParseDuration(args[0])
	if err != nil {
		return 2
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	line := make([]byte, 0, 64)
	for n := 1; ; n++ {
		select {
		case <-end:
			fmt.Printf("end %d\n", n-1)
			return 0
		default:
		}
		line = append(strconv.AppendInt(line[:0], int64(n), 10), " of a long series\n"...)
		if _, err := os.Stdout.Write(line); err != nil {
			return 1
		}
		if n%500 == 0 {
			time.Sleep(rest)
		}
	}
})

// only refuses to run twice: whoever finds the lock taken says so in a file.
var only = proctest.Register("only", func(args []string) int {
	f, err := os.OpenFile(args[0], os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = sys.TryFlock(f)
	}
	if err != nil {
		os.WriteFile(args[0]+".double", []byte(err.Error()), 0o600)
		return 1
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	return 0
})

// ordeal is a supervisor that is killed again and again, with services that must not notice.
type ordeal struct {
	*testing.T
	root    string
	writers int
	cmd     *exec.Cmd
	client  *control.Client
	file    control.ApplyRequest // all services
	cgroup  string               // as of Options
}

func (o *ordeal) command() *exec.Cmd {
	o.Helper()
	cmd := whole.Command(o)
	cmd.Env = append(os.Environ(), "DAEMONRY_ROOT="+o.root, "GORACE="+proctest.RaceSettings(),
		"TEST_CGROUP="+o.cgroup)
	return cmd
}

func TestSurvive(t *testing.T) {
	o := &ordeal{T: t, root: shortDir(t), writers: 20}
	kills, rest := 5, "5ms"
	if os.Getenv("DAEMONRY_SURVIVE") == "heavy" { // CI's own stage; docs/survive.md
		o.writers, kills, rest = 500, 50, "300ms"
	} else if testing.Short() {
		o.writers, kills = 5, 3
	}
	proctest.CheckLeaks(t)
	noSubreaper(t)
	o.describe(rest)
	o.start()
	ctx := t.Context()
	if _, err := o.client.Apply(ctx, o.file); err != nil {
		t.Fatal(err)
	}
	before := o.processes()
	for i := range kills {
		var meddling sync.WaitGroup
		meddling.Go(func() { o.meddle(i) })
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		o.kill()
		meddling.Wait()
		if i%3 == 2 {
			o.killInTheMiddle()
		}
		o.start()
	}
	if err := o.client.Start(ctx, control.Named("only@1", "only@2", "only@3")); err != nil {
		t.Error(err)
	}
	if after := o.processes(); len(after) != len(before) {
		t.Errorf("%d services, %d before", len(after), len(before))
	} else {
		for name, process := range before {
			if after[name] != process {
				t.Errorf("%s was process %v and is %v", name, process, after[name])
			}
		}
	}
	if h, err := o.client.Health(ctx); err != nil || !h.Healthy {
		t.Errorf("health: %+v, %v", h, err)
	}
	if err := o.client.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := o.cmd.Wait(); err != nil {
		t.Error(err)
	}
	for name := range before {
		o.checkLog(name)
	}
	if doubles, _ := filepath.Glob(filepath.Join(o.root, "*.double")); len(doubles) > 0 {
		t.Errorf("started while it was running: %v", doubles)
	}
}

// noSubreaper lets go what an engine of another test has made of this process: orphans are to go to
// an init that reaps them.
func noSubreaper(t *testing.T) {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER of prctl(2)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
}

func (o *ordeal) describe(rest string) {
	w := spec.Service{
		Name:      "w",
		Command:   spec.Command{counter.Path(o), rest},
		Instances: o.writers,
		Ready:     spec.Probe{Kind: spec.ProbeExec},
	}
	w.Log.RotateSize, w.Log.Keep = new(spec.ByteSize(1<<20)), new(100000)
	only := spec.Service{
		Name:      "only",
		Command:   spec.Command{only.Path(o), filepath.Join(o.root, "{instance}")},
		Instances: 3,
	}
	only.Budget.Restarts = new(-1)
	o.file = control.ApplyRequest{Source: "/test.toml", Services: []spec.Service{w, only}}
}

// start returns when the supervisor answers.
func (o *ordeal) start() {
	o.Helper()
	if o.client != nil {
		o.client.Close()
	}
	o.cmd = o.command()
	o.client = startCommand(o.T, o.root, o.cmd)
}

func (o *ordeal) kill() {
	o.Helper()
	if err := o.cmd.Process.Kill(); err != nil {
		o.Fatal(err)
	}
	var ended *exec.ExitError
	if err := o.cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != -1 {
		o.Fatalf("it ended by itself: %v", err)
	}
}

// meddle gives orders until nobody answers.
func (o *ordeal) meddle(i int) {
	ctx, cancel := context.WithTimeout(o.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		var err error
		name := control.Named(fmt.Sprintf("only@%d", 1+rand.IntN(3)))
		switch (i + rand.IntN(2)) % 5 {
		case 0:
			err = o.client.Restart(ctx, name)
		case 1:
			if err = o.client.Stop(ctx, name); err == nil {
				err = o.client.Start(ctx, name)
			}
		case 2:
			_, err = o.client.Apply(ctx, o.file)
		case 3:
			err = o.client.Signal(ctx, control.SignalRequest{Names: name, Signal: "KILL"})
		case 4:
			_, err = o.client.Upgrade(ctx, control.UpgradeRequest{Program: whole.Path(o)})
		}
		var unreachable *control.UnreachableError
		if errors.As(err, &unreachable) {
			return
		}
	}
}

// killInTheMiddle kills a supervisor on its way up.
func (o *ordeal) killInTheMiddle() {
	o.Helper()
	cmd := o.command()
	if err := cmd.Start(); err != nil {
		o.Fatal(err)
	}
	time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
	o.cmd = cmd
	o.kill()
}

// processes are the writers by name.
func (o *ordeal) processes() map[string]sys.Identity {
	o.Helper()
	list, err := o.client.Status(o.Context(), control.StatusRequest{Names: []string{"w"}})
	if err != nil {
		o.Fatal(err)
	}
	found := map[string]sys.Identity{}
	for _, st := range list {
		id, err := sys.Identify(st.PID)
		if err != nil || st.State != control.Ready || st.Restarts != 0 {
			o.Errorf("%s: %+v, %v", st.Name, st, err)
		}
		found[st.Name] = id
	}
	return found
}

// checkLog reads a whole log: each line once, and in order.
func (o *ordeal) checkLog(name string) {
	o.Helper()
	path := filepath.Join(o.root, "log", name+".log")
	rotated, err := layout.List(path)
	if err != nil {
		o.Fatal(err)
	}
	var files []io.Reader
	for _, r := range rotated {
		f, err := os.Open(r.Path)
		if err != nil {
			o.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	f, err := os.Open(path)
	if err != nil && !os.IsNotExist(err) {
		o.Fatal(err)
	}
	if err == nil {
		defer f.Close()
		files = append(files, f)
	}
	lines := bufio.NewScanner(io.MultiReader(files...))
	n := 1
	for ; lines.Scan(); n++ {
		number, _, _ := bytes.Cut(lines.Bytes(), []byte{' '})
		if string(number) != strconv.Itoa(n) {
			break
		}
	}
	if want := fmt.Sprintf("end %d", n-1); lines.Text() != want {
		o.Errorf("%s: after line %d comes %q, %v", name, n-1, lines.Text(), lines.Err())
		return
	}
	if lines.Scan() {
		o.Errorf("%s: after the end comes %q", name, lines.Text())
	}
	if strings.HasSuffix(name, "@1") {
		o.Logf("%s: %d lines in %d files", name, n-1, len(files))
	}
}
