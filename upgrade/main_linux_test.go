package upgrade_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
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
	network, other                   string
	keep, store                      bool
	timeout                          time.Duration
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
	f.BoolVar(&o.keep, "keep", false, "")
	f.BoolVar(&o.store, "store", false, "")
	f.DurationVar(&o.timeout, "timeout", patience, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.detach != "" {
		proc, err := daemonry.Detach(context.Background(),
			daemonry.Options{PIDFile: o.detach, LogFile: o.logFile})
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
	case "panic":
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
		PIDFile:   o.pid,
		KeepPID:   o.keep,
		Store:     o.store,
		Timeout:   o.timeout,
		KillGrace: 300 * time.Millisecond,
		Version:   version,
	})
	if err != nil {
		return err
	}
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
	srv.Handler = handler(u, state, ready)
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
func handler(u *upgrade.Upgrader, state *os.File, ready <-chan struct{}) http.Handler {
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

// running is a server under test.
type running struct {
	t       *testing.T
	dir     string
	addr    string // of requests
	network string
	program string        // the file that is executed, and replaced
	kind    string        // the file that says what kind the next version is
	inside  bool          // the pids it tells are those of a namespace of its own
	pid1    int           // of the process that was started first
	first   *os.Process   // the same
	ended   chan struct{} // closed when that has ended, with
	status  error
	stderr  *os.File
	client  *http.Client
}

// start starts a server from a file of its own, that can be replaced, and waits until it serves.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	r := prepare(t)
	r.start(args...)
	return r
}

func prepare(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{
		t:       t,
		dir:     dir,
		addr:    freeAddress(t),
		network: "tcp",
		program: filepath.Join(dir, "proctest-server"),
		kind:    filepath.Join(dir, "kind"),
	}
	r.next("ok")
	r.install()
	r.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, r.network, r.addr)
		},
	}}
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

func (r *running) start(args ...string) {
	r.t.Helper()
	var err error
	if r.stderr, err = os.Create(filepath.Join(r.dir, "stderr")); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.stderr.Close() })
	r.run(exec.Command(r.program, r.args(args)...))
}

func (r *running) args(more []string) []string {
	return append([]string{"-addr", r.addr, "-network", r.network, "-kind", r.kind}, more...)
}

func (r *running) run(cmd *exec.Cmd) {
	r.t.Helper()
	// or each process would take a second to end
	cmd.Env = append(os.Environ(), append(r.extraEnv(), "GORACE="+proctest.RaceSettings())...)
	cmd.Stdout, cmd.Stderr = r.stderr, r.stderr
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.first, r.pid1, r.ended = cmd.Process, cmd.Process.Pid, make(chan struct{})
	go func() {
		defer close(r.ended)
		r.status = cmd.Wait()
	}()
	r.t.Cleanup(func() { <-r.ended })
	proctest.KillAtEnd(r.t, r.pid1)
	r.await()
}

// firstEnds waits until the process that was started first has ended, which must be with status 0.
func (r *running) firstEnds() {
	r.t.Helper()
	<-r.ended
	if r.status != nil {
		r.t.Errorf("the first process: %v", r.status)
	}
}

// extraEnv is what a manager leaves that speaks of another process.
func (r *running) extraEnv() []string {
	if s := filepath.Join(r.dir, "notify"); exists(s) {
		return []string{"NOTIFY_SOCKET=" + s, "WATCHDOG_USEC=60000000", "WATCHDOG_PID=1"}
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// await waits until the server answers.
func (r *running) await() {
	r.t.Helper()
	proctest.Eventually(r.t, patience, func() error {
		_, err := r.try("/pid")
		if err != nil {
			b, _ := os.ReadFile(filepath.Join(r.dir, "stderr"))
			err = fmt.Errorf("%w: %s", err, b)
		}
		return err
	})
	r.killAtEnd()
}

// killAtEnd has the process that serves now end with the test.
func (r *running) killAtEnd() int {
	r.t.Helper()
	pid := r.pid()
	if !r.inside { // such ones end with the first
		proctest.KillAtEnd(r.t, pid)
	}
	return pid
}

// install puts a new file in the program's place, as package managers do: by rename.
func (r *running) install() {
	r.t.Helper()
	b, err := os.ReadFile(server.Path(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	r.replace(b, 0o755)
}

func (r *running) replace(content []byte, mode os.FileMode) {
	r.t.Helper()
	name := r.program + ".new"
	if err := os.WriteFile(name, content, mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(name, r.program); err != nil {
		r.t.Fatal(err)
	}
}

// next says what the next version to be started is like.
func (r *running) next(kind string) {
	r.t.Helper()
	if err := os.WriteFile(r.kind, []byte(kind), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) try(path string) (string, error) {
	resp, err := r.client.Get("http://server" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(b)))
	}
	return string(b), err
}

func (r *running) get(path string) string {
	r.t.Helper()
	s, err := r.try(path)
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	return s
}

func (r *running) pid() int {
	r.t.Helper()
	pid, err := strconv.Atoi(r.get("/pid"))
	if err != nil {
		r.t.Fatal(err)
	}
	return pid
}

// upgrade replaces the process that serves and returns the pid of the one that does then, alone.
func (r *running) upgrade() int {
	r.t.Helper()
	old := r.pid()
	if _, err := r.try("/upgrade"); err != nil {
		r.t.Fatalf("upgrade: %v", err)
	}
	return r.successor(old)
}

// successor waits until another process than old serves, alone.
func (r *running) successor(old int) int {
	r.t.Helper()
	proctest.Eventually(r.t, patience, func() error { // the old one may take a last connection
		if r.get("/alone") == strconv.Itoa(old) {
			return fmt.Errorf("process %d serves", old)
		}
		return nil
	})
	return r.killAtEnd()
}

func (r *running) printed() string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "stderr"))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	// On a loopback address that nobody else uses, as in the meantime others on this machine get
	// ports too.
	l, err := net.Listen("tcp",
		fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
