package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daemonry/daemonry/spec"
)

// readUnits reads units by name and text.
func readUnits(t *testing.T, units ...string) ([]spec.Service, []Note, error) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i := 0; i < len(units); i += 2 {
		paths = append(paths, filepath.Join(dir, units[i]))
		if err := os.WriteFile(paths[len(paths)-1], []byte(units[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Read(paths...)
}

func TestSocket(t *testing.T) {
	services, notes, err := readUnits(t,
		"web.socket", `[Unit]
Description=x
Before=sockets.target
[Socket]
ListenStream=80
ListenStream=
ListenStream=8080
ListenStream=[::1]:8081
ListenStream=127.0.0.1:8082
ListenDatagram=/run/%N.dgram
ListenSequentialPacket=@abstract
ListenFIFO=/run/fifo
ListenNetlink=route 1
FileDescriptorName=http
SocketUser=www
SocketGroup=web
SocketMode=0660
Backlog=10
BindIPv6Only=ipv6-only
ReusePort=yes
Accept=yes
FreeBind=yes
[Install]
WantedBy=sockets.target
`,
		"web.service", "[Unit]\nRequires=web.socket\nAfter=web.socket\n[Service]\n"+
			"ExecStart=/bin/web\nSockets=web.socket other.socket\nUser=www\nNonBlocking=yes\n",
		"control.socket", "[Socket]\nListenStream=/run/control\nService=web.service\n")
	if err != nil {
		t.Fatal(err)
	}
	address := func(text string) spec.Address {
		a, err := spec.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	six := new(true)
	file := func(a string) spec.Socket {
		return spec.Socket{
			Name:        "http",
			Listen:      address(a),
			Owner:       "www:web",
			Mode:        new(spec.Mode(0o660)),
			Backlog:     10,
			Nonblocking: true,
		}
	}
	inet := func(a string) spec.Socket {
		return spec.Socket{
			Name:        "http",
			Listen:      address(a),
			Backlog:     10,
			V6Only:      six,
			ReusePort:   true,
			Nonblocking: true,
		}
	}
	abstract := file("unixpacket:@abstract")
	abstract.Owner, abstract.Mode = "", nil
	want := []spec.Socket{
		inet("tcp::8080"), inet("tcp:[::1]:8081"), inet("tcp:127.0.0.1:8082"),
		file("unixgram:/run/web.dgram"), abstract, file("fifo:/run/fifo"),
		{Name: "control.socket", Listen: address("unix:/run/control"), Mode: new(spec.Mode(0o666)),
			Owner: "root", Nonblocking: true},
	}
	if d := cmp.Diff(want, services[0].Sockets); d != "" {
		t.Error(d)
	}
	if s := services[0]; !s.OnDemand || s.Autostart != nil || len(services) != 1 {
		t.Errorf("on demand %v, autostart %v", s.OnDemand, s.Autostart)
	}
	var lines []string
	for _, n := range notes {
		lines = append(lines, n.Key+": "+n.Text)
	}
	got := strings.Join(lines, "\n")
	if want := "Socket.ListenNetlink: cannot be expressed\n" +
		"Socket.Accept: a process for each connection cannot be expressed: the service gets the " +
		"listening socket\nSocket.FreeBind: cannot be expressed\n" +
		"Service.Sockets: other.socket is not read along with this unit: left out"; got != want {
		t.Errorf("notes:\n%s\nwant:\n%s", got, want)
	}
}

func TestSocketErrors(t *testing.T) {
	service := []string{"web.service", "[Service]\nExecStart=/bin/x\n"}
	for text, want := range map[string]string{
		"[Socket]\n": "web.socket:1: there is no address to " +
			"listen on",
		"[Socket]\nListenStream=x\n":                   "web.socket:2: ListenStream: ",
		"[Socket]\nListenStream=1\nBacklog=x\n":        "web.socket:3: Backlog: ",
		"[Socket]\nListenStream=1\nBindIPv6Only=x\n":   "web.socket:3: BindIPv6Only: ",
		"[Socket]\nListenStream=1\nSocketMode=9\n":     "web.socket:3: SocketMode: ",
		"[Socket]\nListenStream=1\nAccept=x\n":         "web.socket:3: Accept: ",
		"[Socket]\nListenStream=1\nReusePort=x\n":      "web.socket:3: ReusePort: ",
		"[Socket]\nListenStream=1\nService=x.socket\n": "web.socket:3: Service: ",
		"[Socket]\nListenStream=1\nService=x.service\n": "x.service, which it is for, is not " +
			"read along",
		"x": "is not KEY=VALUE",
	} {
		_, _, err := readUnits(t, append([]string{"web.socket", text}, service...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
