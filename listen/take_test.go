//go:build linux

package listen

import (
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
)

func TestAnnounced(t *testing.T) {
	const self = 100
	id := func() (uint64, error) { return 42, nil }
	noID := func() (uint64, error) { return 0, errors.ErrUnsupported }
	type env = map[string]string
	for _, c := range []struct {
		name  string
		env   env
		id    func() (uint64, error)
		want  []string
		wrong string
	}{
		{name: "nothing", env: env{}},
		{name: "no pid", env: env{"LISTEN_FDS": "2"}},
		{name: "another's", env: env{"LISTEN_PID": "101", "LISTEN_FDS": "2"}},
		{name: "another's, wrong", env: env{"LISTEN_PID": "101", "LISTEN_FDS": "x"}},
		{name: "ours, none", env: env{"LISTEN_PID": "100"}},
		{name: "names", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a::a"},
			want: []string{"a", "", "a"}},
		{
			name: "one empty name",
			env:  env{"LISTEN_PID": "100", "LISTEN_FDS": "1", "LISTEN_FDNAMES": ""},
			want: []string{""},
		},
		{name: "same process",
			env: env{"LISTEN_PID": "100", "LISTEN_PIDFDID": "42", "LISTEN_FDS": "1",
				"LISTEN_FDNAMES": "a"}, want: []string{"a"}},
		{name: "pid used again", env: env{"LISTEN_PID": "100", "LISTEN_PIDFDID": "41",
			"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"}},
		{name: "kernel without",
			env: env{"LISTEN_PID": "100", "LISTEN_PIDFDID": "41", "LISTEN_FDS": "1",
				"LISTEN_FDNAMES": "a"}, id: noID, want: []string{"a"}},
		{name: "empty id", env: env{"LISTEN_PID": "100", "LISTEN_PIDFDID": "", "LISTEN_FDS": "1",
			"LISTEN_FDNAMES": "a"}, want: []string{"a"}},
		{name: "empty pid", env: env{"LISTEN_PID": "", "LISTEN_FDS": "2"}},
		{name: "empty number", env: env{"LISTEN_PID": "100", "LISTEN_FDS": ""}},
		{name: "all empty", env: env{"LISTEN_PID": "", "LISTEN_PIDFDID": "", "LISTEN_FDS": "",
			"LISTEN_FDNAMES": ""}},
		{name: "bad id", env: env{"LISTEN_PID": "100", "LISTEN_PIDFDID": "x", "LISTEN_FDS": "1"},
			wrong: "$LISTEN_PIDFDID"},
		{name: "bad pid", env: env{"LISTEN_PID": "me"}, wrong: "$LISTEN_PID"},
		{name: "zero pid", env: env{"LISTEN_PID": "0"}, wrong: "$LISTEN_PID"},
		{name: "great pid", env: env{"LISTEN_PID": "4294967396"}, wrong: "$LISTEN_PID"},
		{name: "zero", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "0"}},
		{name: "zero, named", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "0",
			"LISTEN_FDNAMES": ""}},
		{name: "a blank pid", env: env{"LISTEN_PID": " "}, wrong: "$LISTEN_PID"},
		{name: "negative", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "-1"}, wrong: "$LISTEN_FDS"},
		{name: "no number", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "two"},
			wrong: "$LISTEN_FDS"},
		{name: "most", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "2147483644"},
			wrong: "is not open"},
		{name: "more", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "2147483645"},
			wrong: "not a number"},
		{name: "few names", env: env{"LISTEN_PID": "100", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"},
			wrong: "1 names for 2"},
		{
			name:  "many names",
			env:   env{"LISTEN_PID": "100", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:"},
			wrong: "2 names for 1",
		},
	} {
		if c.id == nil {
			c.id = id
		}
		got, err := announced(c.env, self, c.id)
		if !reflect.DeepEqual(got, c.want) || (err != nil) != (c.wrong != "") ||
			err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v: %q %v", c.name, c.env, got, err)
		}
	}
}

// Whatever the environment says, what comes out is as many names as were
// announced, or an error.
func FuzzAnnounced(f *testing.F) {
	f.Add("100", "42", "2", "a:b")
	f.Add("100", "", "1", "")
	f.Add("100", "42", "2147483644", "unset")
	f.Add("-1", "x", "-1", ":::")
	f.Fuzz(func(t *testing.T, pid, id, fds, names string) {
		env := map[string]string{
			"LISTEN_PID": pid, "LISTEN_PIDFDID": id, "LISTEN_FDS": fds, "LISTEN_FDNAMES": names,
		}
		maps.DeleteFunc(env, func(_, value string) bool { return value == "unset" })
		got, err := announced(env, 100, func() (uint64, error) { return 42, nil })
		if err != nil && (got != nil || strings.ContainsAny(err.Error(), "\n\x00")) {
			t.Errorf("%v: %q %q", env, got, err)
		}
		if got != nil && strings.TrimLeft(pid, "+0") != "100" {
			t.Errorf("%v: another's descriptors taken: %q", env, got)
		}
		if got != nil && names != "unset" && strings.Join(got, ":") != names {
			t.Errorf("%v: %q", env, got)
		}
	})
}

func TestTakeKinds(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	stream, address := tcp(t)
	datagram, _ := udp(t)
	packets, err := net.Listen("unixpacket", filepath.Join(dir, "packets"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	files := []*os.File{
		stream, datagram, fileOf(t, packets.(*net.UnixListener)), fileOf(t, conn.(*net.TCPConn)),
		open(fifo), open("/dev/null"),
	}
	names := "web:dns:control:connection:pipe:null"
	got := start(t, "exec look", files, "LISTEN_FDS=6", "LISTEN_FDNAMES="+names)()
	want := report{
		Names: strings.Split(names, ":"),
		Kinds: []string{"stream listener", "datagram socket", "seqpacket listener", "connection",
			"fifo", "file"},
		CloExec: slices.Repeat([]bool{true}, 6),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
}

func TestTakeServes(t *testing.T) {
	stream, web := tcp(t)
	datagram, dns := udp(t)
	for _, names := range []string{"dns:web", "dns.socket:web.socket"} {
		wait := start(t, "exec serve", []*os.File{datagram, stream}, "LISTEN_FDS=2",
			"LISTEN_FDNAMES="+names)
		for network, address := range map[string]string{"tcp": web, "udp": dns} {
			conn, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte("hello " + network + ";")); err != nil {
				t.Fatal(err)
			}
		}
		if got := wait(); got.Greeting != "hello tcp;hello udp;" {
			t.Errorf("%s: %+v", names, got)
		}
	}
}

func TestTakeRefuses(t *testing.T) {
	stream, _ := tcp(t)
	var notOurs []string
	if _, err := sys.PidfdID(os.Getpid()); err != nil { // before Linux 6.9 nobody can tell
		notOurs = []string{Unknown}
	}
	for _, c := range []struct {
		stage string
		env   []string
		wrong string
		names []string
	}{
		{"exec look", []string{"LISTEN_FDS=1"}, "", []string{Unknown}},
		{"exec look", []string{"LISTEN_FDS=1", "LISTEN_PIDFDID=1"}, "", notOurs},
		{"exec look", nil, "", nil},
		{"exec look", []string{"LISTEN_FDS=0"}, "", nil},
		{"exec look", []string{"LISTEN_FDS=", "LISTEN_FDNAMES=", "LISTEN_PIDFDID="}, "", nil},
		{
			"run look",
			[]string{"LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_PIDFDID=1", "LISTEN_FDNAMES=a"}, "",
			nil,
		},
		{"exec look", []string{"LISTEN_FDS=x", "LISTEN_FDNAMES=a"}, "$LISTEN_FDS", nil},
		{"exec look", []string{"LISTEN_FDS=400"}, "number 402 is not open", nil},
		{"exec look", []string{"LISTEN_FDS=5", "LISTEN_FDNAMES=a:b:c:d:e"},
			"one of 5 announced by LISTEN_FDS: fstat: bad file descriptor", nil},
	} {
		got := start(t, c.stage, []*os.File{stream}, c.env...)()
		if !strings.Contains(got.Err, c.wrong) || (got.Err == "") != (c.wrong == "") ||
			!slices.Equal(got.Names, c.names) || got.Leftover != nil {
			t.Errorf("%v: %+v", c.env, got)
		}
	}
}

// handedSet is a Set as Take would make it, of files of this process.
func handedSet(files map[string]*os.File, kinds map[string]Kind) *Set {
	set := new(Set)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		set.sockets = append(set.sockets,
			&Socket{Name: name, Kind: kinds[name], fd: int(files[name].Fd()), file: files[name]})
	}
	return set
}

func TestSocketGivenAwayOnce(t *testing.T) {
	stream, _ := tcp(t)
	datagram, _ := udp(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	set := handedSet(map[string]*os.File{"web": stream, "dns": datagram, "pipe": r},
		map[string]Kind{"web": Stream, "dns": Datagram, "pipe": FIFO})

	// A socket of the wrong kind is an error and never a reason to open another one.
	at := Address{Network: "tcp", Address: "127.0.0.1:0"}
	if l, err := set.Listen("dns", at); err == nil ||
		!strings.Contains(err.Error(), "(dns): a datagram socket, not a stream listener") {
		t.Errorf("%v %v", l, err)
	}
	if c, err := set.ListenPacket("web", at); err == nil ||
		!strings.Contains(err.Error(), "(web): a stream listener, not a datagram socket") {
		t.Errorf("%v %v", c, err)
	}
	web := set.Named("web")[0]
	l, err := web.Listener()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := web.Listener(); !errors.Is(err, ErrTaken) {
		t.Errorf("%v", err)
	}
	if _, err := web.File(); !errors.Is(err, ErrTaken) {
		t.Errorf("%v", err)
	}
	if len(set.Named("web")) != 0 || len(set.All()) != 3 {
		t.Errorf("%d named, %d in all", len(set.Named("web")), len(set.All()))
	}
	pipe, err := set.Named("pipe")[0].File()
	if err != nil || pipe != r {
		t.Fatal(pipe, err)
	}
	defer pipe.Close()
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Stat(); err != nil {
		t.Errorf("Close closed what was taken: %v", err)
	}
	if _, err := datagram.Stat(); err == nil {
		t.Error("Close left what was not taken")
	}
	if err := set.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// With nothing handed over every name is opened anew.
func TestListenAlone(t *testing.T) {
	set := new(Set)
	l, err := set.Listen("web", Address{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := set.ListenPacket("dns", Address{Network: "udp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
