package upgrade_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

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
	writing *os.File // somebody writes the program
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
