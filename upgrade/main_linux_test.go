package upgrade_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/upgrade"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// patience is how long anything may take before it is called broken. A sound program on a bad
// machine may take seconds.
const patience = time.Minute

// server is a web server that replaces itself. What kind of version it is, is read from a file when
// it starts, so that the same binary can be any number of new ones.
var server = proctest.Register("server", func(args []string) int {
	log.SetFlags(0)
	if err := serve(args); err != nil {
		log.Print(err)
		return 3
	}
	return 0
})

type serverOptions struct {
	addr, kind, pid, detach, logFile string
	network, other, extra, early     string
	keep, store, nobody              bool
	timeout, pause                   time.Duration
}

func serve(args []string) error {
	var o serverOptions
	f := flag.NewFlagSet("server", flag.ContinueOnError)
	f.StringVar(&o.addr, "addr", "", "")
	f.StringVar(&o.network, "network", "tcp", "")
	f.StringVar(&o.kind, "kind", "", "")
	f.StringVar(&o.pid, "pid", "", "")
	f.StringVar(&o.detach, "detach", "", "")
	f.StringVar(&o.logFile, "log", "", "")
	f.StringVar(&o.other, "other", "", "")
	f.StringVar(&o.early, "early", "", "") // a file to read before all else
	f.StringVar(&o.extra, "extra", "", "")
	f.DurationVar(&o.pause, "pause", 0, "")
	f.BoolVar(&o.keep, "keep", false, "")
	f.BoolVar(&o.nobody, "nobody", false, "")
	f.BoolVar(&o.store, "store", false, "")
	f.DurationVar(&o.timeout, "timeout", patience, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	early, err := os.ReadFile(o.early)
	if err != nil && o.early != "" {
		return err
	}
	if o.detach != "" {
		d := daemonry.Options{PIDFile: o.detach, LogFile: o.logFile}
		if o.nobody {
			d.User, d.Foreground, d.Dir = &daemonry.User{UID: 65534, GID: 65534}, true, "/"
		}
		proc, err := daemonry.Detach(context.Background(), d)
		if proc != nil || err != nil {
			return err
		}
		defer daemonry.Release()
	}
	text, err := os.ReadFile(o.kind)
	if err != nil && o.kind != "" {
		return err
	}
	kind, arg, _ := strings.Cut(string(text), " ")
	version := 7
	switch kind {
	case "crash":
		return errors.New("cannot read the configuration")
	case "options":
		_, err := daemonry.Detach(context.Background(), daemonry.Options{Files: []*os.File{nil}})
		return err
	case "panic":
		panic("a bug in the new version")
	case "crowd":
		log.Print("panic: long ago")
		debug.SetTraceback("all")
		for range 3000 {
			go func() { select {} }()
		}
		panic("a bug in the new version")
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "older":
		version = 6
	}
	u, err := upgrade.New(upgrade.Options{
		PIDFile: o.pid,
		KeepPID: o.keep,
		Store:   o.store,
		Timeout: o.timeout,
		Pause:   o.pause,
		Check: func(_ context.Context, program string) error {
			if why, err := os.ReadFile(program + ".bad"); string(why) == "silent" {
				select {}
			} else if err == nil {
				return errors.New(string(why))
			}
			return nil
		},
		KillGrace: 300 * time.Millisecond,
		Version:   version,
	})
	if err != nil {
		return err
	}
	o.early = string(early)
	return serveWith(u, o, kind, arg)
}

func serveWith(u *upgrade.Upgrader, o serverOptions, kind, arg string) error {
	if kind == "address" {
		o.addr = arg
	}
	l, err := u.Listen("web", o.network, o.addr)
	if err != nil {
		return err
	}
	if o.other != "" && kind != "without" {
		if _, err := u.Listen("other", "unix", o.other); err != nil {
			return err
		}
	}
	state, err := u.File("state",
		func() (*os.File, error) { return os.CreateTemp("", "upgrade-state") })
	if err != nil {
		return err
	}
	os.Remove(state.Name()) // it lives on by its descriptor; a successor knows it under its name
	switch kind {
	case "chatty":
		log.Print("before ready")
		child := exec.Command("sh", "-c", "(sleep 0.2; echo from a child >&2) &")
		child.Stderr = os.Stderr
		if err := child.Run(); err != nil {
			return err
		}
	case "hang", "slow":
		wait := make(chan struct{})
		// until somebody makes a file of that name; that it has come this far it says in another
		if kind == "slow" {
			if err := os.WriteFile(arg+".waits", []byte(strconv.Itoa(os.Getpid())),
				0o644); err != nil {
				return err
			}
			go func() {
				for _, err := os.Stat(arg); err != nil; _, err = os.Stat(arg) {
					time.Sleep(time.Millisecond)
				}
				close(wait)
			}()
		}
		select {
		case <-wait:
		case <-time.After(time.Hour):
		}
	case "fail":
		daemonry.Fail(errors.New("the database is of another kind"))
	}
	if u.Alone() == nil {
		return errors.New("no channel")
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM) // before anybody knows our pid
	var srv http.Server
	served, ready := make(chan error, 1), make(chan struct{})
	mux := handler(u, state, ready)
	mux.HandleFunc("/where", func(w http.ResponseWriter, r *http.Request) {
		dir, err := os.Getwd()
		fmt.Fprint(w, "read ", o.early, ", now in ", dir, " ", err)
	})
	mux.HandleFunc("/chdir", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Chdir(r.URL.RawQuery))
	})
	srv.Handler = mux
	if o.extra != "" {
		if err := extras[o.extra](u, mux, kind); err != nil {
			return err
		}
	}
	// Shutdown would drop a request that it sees read in its time (net/http, conn.serve).
	var conns sync.WaitGroup
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			conns.Done()
		}
	}
	go func() { served <- srv.Serve(l) }()
	if o.detach != "" {
		if err := daemonry.Ready(); err != nil {
			return err
		}
	}
	if err := u.Ready(); err != nil {
		return err
	}
	if kind == "chatty" {
		log.Print("after ready")
	}
	close(ready)
	select {
	case err := <-served:
		return err
	case <-u.Exit():
	case <-terminated:
	}
	if err := l.Close(); err != nil {
		return err
	}
	<-served
	srv.SetKeepAlivesEnabled(false)
	drained := make(chan struct{})
	go func() { conns.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(patience):
	}
	return errors.Join(srv.Close(), u.Close())
}

// handler answers at once, but for what is only possible after Ready: an upgrade by request, or by
// a signal to the pid.
func handler(u *upgrade.Upgrader, state *os.File, ready <-chan struct{}) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/pid", func(w http.ResponseWriter, r *http.Request) {
		<-ready
		fmt.Fprint(w, os.Getpid())
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		<-ready
		if err := u.Upgrade(context.Background()); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	mux.HandleFunc("/environment", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
	})
	// appends to the file that goes along
	mux.HandleFunc("/note", func(w http.ResponseWriter, r *http.Request) {
		if _, err := state.WriteString(r.URL.RawQuery); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		b, err := io.ReadAll(io.NewSectionReader(state, 0, 1<<20))
		fmt.Fprint(w, string(b), err)
	})
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(42) })
	mux.HandleFunc("/orphan", func(http.ResponseWriter, *http.Request) {
		exec.Command("sh", "-c", "sleep 0.01 &").Run()
	})
	mux.HandleFunc("/alone", func(w http.ResponseWriter, r *http.Request) {
		<-u.Alone()
		fmt.Fprint(w, os.Getpid())
	})
	return mux
}
