package supervise

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/spec"
)

// Servers as they are packaged, restarted in a rolling way under load. Each says in which way it
// takes a socket over.
var unmodified = map[string]struct {
	program string
	files   map[string]string
	service func(s scene) spec.Service
}{
	// nginx takes over what NGINX= names, which it is meant to say to its own next version. It
	// believes those to be non-blocking: of two workers that wake up for one connection, one would
	// wait in accept(2), deaf to all else, a reload included.
	"nginx": {
		program: "nginx",
		files: map[string]string{"nginx.conf": `daemon off;
pid DIR/nginx.pid;
error_log stderr;
worker_processes 2;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
	server { listen 127.0.0.1:PORT; location / { return 200 "ok\n"; } }
}
`},
		service: func(s scene) spec.Service {
			one := spec.Service{
				Command: spec.Command{"nginx", "-e", "stderr", "-c", s.path("nginx.conf")},
				Sockets: web().Sockets,
				Ready:   spec.Probe{Kind: spec.ProbeHTTP, Target: url("/")},
			}
			one.Env = map[string]string{"NGINX": "3;"}
			one.Sockets[0].Nonblocking = true
			one.Reload = "HUP"
			one.Stop = spec.StopSchedule{{Signal: "QUIT", Wait: spec.Duration(20 * time.Second)}}
			return one
		},
	},
	// haproxy binds a descriptor by its number, and says READY=1.
	"haproxy": {
		program: "haproxy",
		files: map[string]string{"haproxy.cfg": `defaults
	mode http
	timeout client 5s
	timeout connect 5s
	timeout server 5s
frontend web
	bind fd@3
	http-request return status 200 content-type text/plain string ok
`},
		service: func(s scene) spec.Service {
			one := spec.Service{
				Command: spec.Command{"haproxy", "-Ws", "-f", s.path("haproxy.cfg")},
				Ready:   spec.Probe{Kind: spec.ProbeNotify},
			}
			one.Stop = spec.StopSchedule{{Signal: "USR1", Wait: spec.Duration(20 * time.Second)}}
			return one
		},
	},
	// The standard library of Python takes a socket by its number.
	"python": {
		program: "python3",
		files: map[string]string{"server.py": `import os, signal, socket, socketserver, threading
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok\n")
    def log_message(self, *args):
        pass

assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == "1"
server = socketserver.ThreadingTCPServer(None, Handler, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=3)
assert server.socket.type == socket.SOCK_STREAM and server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
server.socket.setblocking(False)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever(poll_interval=0.05)
server.server_close()
`},
		service: func(s scene) spec.Service {
			return spec.Service{Command: spec.Command{"python3", s.path("server.py")},
				Ready: spec.Probe{Kind: spec.ProbeNotify}}
		},
	},
}

func TestUnmodifiedServers(t *testing.T) {
	for name, one := range unmodified {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(one.program); err != nil {
				t.Skip(err)
			}
			dir, err := os.MkdirTemp("/tmp", "dmn")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			port := freePort(t)
			for file, text := range one.files {
				text = strings.NewReplacer("DIR", dir, "PORT", port).Replace(text)
				if err := os.WriteFile(dir+"/"+file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := stage.Command(t, "unmodified "+name, dir)
			cmd.Env = append(os.Environ(), "PORT="+port, "GORACE="+proctest.RaceSettings())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func rollUnmodified(name string) func(scene) error {
	return func(s scene) error {
		one := unmodified[name].service(s)
		one.Name = "web"
		if one.Sockets == nil {
			one.Sockets = web().Sockets
		}
		if err := s.apply(one); err != nil {
			b, _ := os.ReadFile(s.path("log/web.log"))
			return fmt.Errorf("%w\n%s", err, b)
		}
		before, err := s.holds("web")
		old := s.one("web").PID
		l := startLoadOf(s, func() (int, error) {
			r, err := http.NewRequestWithContext(s, "GET", url("/"), nil)
			if err != nil {
				return 0, err
			}
			r.Close = true
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				return 0, err
			}
			return 0, errors.Join(answer.Body.Close(), want("status", answer.StatusCode, 200))
		})
		err = errors.Join(err, l.more(s, 100))
		for range 2 {
			err = errors.Join(err, s.RestartRolling(s, "web"), l.more(s, 100))
		}
		if one.Reload != "" {
			err = errors.Join(err, s.Reload(s, "web"), l.more(s, 300))
		}
		err = errors.Join(err, l.end(), s.same("web", before),
			want("new", s.one("web").PID != old, true), s.oneProcess("web"), s.Remove(s, "web"))
		if err != nil {
			b, _ := os.ReadFile(s.path("log/web.log"))
			err = fmt.Errorf("%w\n%s", err, b)
		}
		return err
	}
}
