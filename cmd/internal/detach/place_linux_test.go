package detach_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/internal/proctest"
)

// life starts a daemon with the command $1 and one with the library, the web server
// $2, in the directory $3 that can be written, looks at both and stops them.
const life = `set -e
"$1" detach --pidfile "$3/c" --stdout "$3/log" --ready settle:10ms -- sleep 1000
"$1" status --pidfile "$3/c"
"$1" check --pidfile "$3/c"
"$1" stop --pidfile "$3/c"
"$1" detach --pidfile "$3/n" --ready notify --timeout 10s -- "$2" -addr "$4"
"$1" stop --pidfile "$3/n"
"$2" -d -pid "$3/w" -addr "$4" -log "$3/w.log"
"$1" check --pidfile "$3/w"
"$2" -s reload -pid "$3/w"
"$2" -s stop -pid "$3/w"
test -z "$(ls "$3" | grep -v log)"
echo all went well`

// TestStrangePlaces: mount namespaces in which something is missing that one takes for granted.
func TestStrangePlaces(t *testing.T) {
	web := goProgram(t, t.TempDir()).command[0]
	openToAll(t, filepath.Dir(web))
	const asNobody = `exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`
	for _, c := range []struct {
		// what sets it up, for root and for an ordinary user who is root in a namespace of their
		// own
		name, root, user string
	}{
		{"a read-only system", `mount -t tmpfs tmpfs "$7"; mount -o remount,bind,ro /; ! touch /usr/file 2>/dev/null; exec "$@"`, ""},
		{"no /dev/pts", `mount -t tmpfs -o ro tmpfs /dev/pts; exec "$@"`, ""},
		{"hidden processes", `mount -t proc -o hidepid=2 proc /proc; chmod 777 "$7"; ` + asNobody,
			`mount -t proc -o hidepid=2 proc /proc; exec "$@"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			dir := t.TempDir()
			openToAll(t, dir)
			script, namespace := c.root, []string{"--mount", "--propagation", "private"}
			if os.Geteuid() != 0 {
				namespace = []string{"--user", "--map-root-user", "--mount", "--pid", "--fork",
					"--kill-child", "--mount-proc"}
				if c.user != "" {
					script = c.user
				}
			}
			// "$@" is: sh -c life sh COMMAND WEBSERVER DIRECTORY ADDRESS
			args := append(namespace, "sh", "-ec", script, "sh", "sh", "-c", life, "sh",
				daemonry.Path(t), web, dir, freePort(t))
			r := finish(t, exec.Command("unshare", args...))
			if r.status != 0 || !strings.HasSuffix(r.stdout, "all went well\n") ||
				strings.Contains(r.stdout, "  fail  ") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestGoRun: the go command deletes the executable as soon as the launcher has ended.
func TestGoRun(t *testing.T) {
	proctest.CheckLeaks(t)
	dir, addr := t.TempDir(), freePort(t)
	pidFile, log := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	r := finish(t, exec.Command(installed(t, "go"), "run", "../../../examples/webserver", "-d",
		"-addr", addr, "-pid", pidFile, "-log", log))
	pid, err := strconv.Atoi(strings.TrimSpace(r.stdout))
	if err != nil {
		t.Fatalf("%+v", r)
	}
	proctest.KillAtEnd(t, pid)
	// Where the go command keeps the executables that it runs (Go 1.24), the file may still be
	// there; TestDeletedExecutable makes sure of one that is not.
	mustBeClean(t, pid, check.Options{PIDFile: pidFile, Files: []string{log}})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); string(b) != fmt.Sprintf("hello from process %d\n",
		pid) || err != nil {
		t.Errorf("it answers %q, %v", b, err)
	}
	if r := run(t, "stop", "--pidfile", pidFile); r.status != 0 {
		t.Errorf("%+v", r)
	}
	if proctest.Alive(pid) {
		t.Error("it is alive")
	}
}

// TestDeletedExecutable: the command itself may be gone from the disk while it starts a daemon.
func TestDeletedExecutable(t *testing.T) {
	proctest.CheckLeaks(t)
	// The name of its file is what makes the test binary the command.
	path := filepath.Join(t.TempDir(), filepath.Base(daemonry.Path(t)))
	b, err := os.ReadFile(daemonry.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	// The limit asks for a second stage, below the watcher.
	r := finish(t, exec.Command("sh", "-c", `exec 9<"$1"; rm "$1"; exec /proc/self/fd/9 detach --rlimit core=0 --ready cmd:true -- sleep 1000`, "sh", path))
	pid, err := strconv.Atoi(strings.TrimSpace(r.stdout))
	if err != nil {
		t.Fatalf("%+v", r)
	}
	proctest.KillAtEnd(t, pid)
	mustBeClean(t, pid, check.Options{})
}
