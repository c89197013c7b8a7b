package detach_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/check"
	"github.com/daemonry/daemonry/internal/proctest"
)

// real is a program that people run as a daemon.
type real struct {
	name    string
	options []string
	command []string
	addr    string
	ask     string // sent, if the program does not speak HTTP
	answer  string // begin of the answer
	files   []string
}

// TestRealPrograms starts each, reaches it over its socket, checks it, stops it, and wants no trace
// of it.
func TestRealPrograms(t *testing.T) {
	for _, make := range []func(t *testing.T, dir string) real{
		redis, nginx, memcached, script, staticC, goProgram,
	} {
		dir := t.TempDir()
		p := make(t, dir)
		t.Run(p.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			pidFile := filepath.Join(dir, "daemon.pid")
			log := filepath.Join(dir, "daemon.log")
			args := append([]string{"--pidfile", pidFile, "--stderr", log, "--stdout", log},
				p.options...)
			pid := detached(t, append(append(args, "--"), p.command...)...)
			if answer := p.talk(t); !strings.HasPrefix(answer, p.answer) {
				t.Errorf("it answers %q, want %q", answer, p.answer)
			}
			mustBeClean(t, pid, check.Options{PIDFile: pidFile, Files: append(p.files, log)})
			for verb, want := range map[string]int{"status": 0, "check": 0} {
				if r := run(t, verb, "--pidfile", pidFile); r.status != want {
					t.Errorf("%s: %+v", verb, r)
				}
			}
			if r := run(t, "stop", "--pidfile", pidFile); r.status != 0 {
				t.Errorf("stop: %+v", r)
			}
			if proctest.Alive(pid) {
				t.Error("it is alive")
			}
			if conn, err := net.Dial("tcp", p.addr); err == nil {
				conn.Close()
				t.Error("its port is open")
			}
			if _, err := os.Stat(pidFile); err == nil {
				t.Error("its pid file is left")
			}
			if r := run(t, "status", "--pidfile", pidFile); r.status != 3 {
				t.Errorf("status: %+v", r)
			}
		}) // and CheckLeaks says that none of its processes is left
	}
}

func (p real) talk(t *testing.T) string {
	t.Helper()
	if p.ask == "" {
		client := http.Client{
			Transport: &http.Transport{DisableKeepAlives: true},
			Timeout:   time.Minute,
		}
		r, err := client.Get("http://" + p.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, p.ask); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(p.answer))
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// installed finds a program, also where only root's PATH has it.
func installed(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed (.ci/run installs it)", name)
	return ""
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// redis says that it is ready by sd_notify(3).
func redis(t *testing.T, dir string) real {
	addr := freePort(t)
	return real{
		name: "redis-server", addr: addr, ask: "PING\r\n", answer: "+PONG",
		options: []string{"--ready", "notify"},
		command: []string{installed(t, "redis-server"), "--supervised", "systemd", "--port",
			port(addr), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--daemonize", "no"},
	}
}

func nginx(t *testing.T, dir string) real {
	addr := freePort(t)
	conf := fmt.Sprintf(`daemon off; error_log %[1]s/error.log; pid %[1]s/nginx.pid; worker_processes 2; events {}
http { access_log %[1]s/access.log; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c;
uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e; server { listen %[2]s; return 200 "hello from nginx"; } }`, dir, addr)
	if os.Geteuid() == 0 {
		conf = "user root; " + conf // whose directory it is
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return real{
		name: "nginx", addr: addr, answer: "hello from nginx",
		options: []string{"--ready", "http:http://" + addr + "/"},
		command: []string{installed(t, "nginx"), "-c", file, "-e", filepath.Join(dir, "error.log")},
		files:   []string{filepath.Join(dir, "error.log"), filepath.Join(dir, "access.log")},
	}
}

func memcached(t *testing.T, dir string) real {
	addr := freePort(t)
	p := real{
		name: "memcached", addr: addr, ask: "version\r\n", answer: "VERSION ",
		options: []string{"--ready", "tcp:" + addr},
		command: []string{installed(t, "memcached"), "-l", "127.0.0.1", "-p",
			port(addr), "-U", "0"},
	}
	if os.Geteuid() == 0 {
		p.options = append(p.options, "--user", "nobody")
		openToAll(t, dir)
	}
	return p
}

// openToAll lets every user into a directory, and into those of the tests above it.
func openToAll(t *testing.T, dir string) {
	t.Helper()
	for ; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// script is a shell script, with a child that does the work.
func script(t *testing.T, dir string) real {
	addr := freePort(t)
	file := filepath.Join(dir, "server.sh")
	text := "#!/bin/sh\necho starting\n\"$1\" tcp \"$2\" &\nwait\n"
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return real{
		name: "a shell script", addr: addr,
		options: []string{"--ready", "tcp:" + addr},
		command: []string{file, server.Path(t), addr},
	}
}

const cServer = `
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, (void *)&a, sizeof a) || listen(s, 8)) return 1;
	write(4, "\n", 1);
	close(4);
	for (;;) {
		char c;
		int f = accept(s, 0, 0);
		if (f < 0) return 2;
		if (read(f, &c, 1) == 1) write(f, "hello from C", 12);
		close(f);
	}
}`

// staticC says that it is ready as programs of s6 do.
func staticC(t *testing.T, dir string) real {
	addr := freePort(t)
	source, program := filepath.Join(dir, "server.c"), filepath.Join(dir, "server")
	if err := os.WriteFile(source, []byte(cServer), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(installed(t, "gcc"), "-static", "-O", "-w", "-o", program,
		source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return real{
		name: "a static C program", addr: addr, ask: "?", answer: "hello from C",
		options: []string{"--ready", "fd:4"},
		command: []string{program, port(addr)},
	}
}

func goProgram(t *testing.T, dir string) real {
	addr := freePort(t)
	program := filepath.Join(dir, "webserver")
	cmd := exec.Command(installed(t, "go"), "build", "-o", program, "../../../examples/webserver")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return real{
		name: "a Go program", addr: addr, answer: "hello from process ",
		options: []string{"--ready", "notify"},
		command: []string{program, "-addr", addr},
	}
}
