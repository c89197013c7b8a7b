package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

func only(pids ...int) func(int) bool {
	return func(pid int) bool {
		for _, p := range pids {
			if p == pid {
				return true
			}
		}
		return false
	}
}

// idle starts a process that holds no socket, to stand for the daemon.
func idle(t *testing.T) int {
	pid, _ := run(t, nil, "inherit")
	return pid
}

func TestStrangerHoldsThePort(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		for _, younger := range []bool{false, true} {
			t.Run(fmt.Sprint(addr, younger), func(t *testing.T) {
				daemon := 0
				if younger {
					daemon = idle(t) // the stranger has won the race for the port
				}
				stranger, at := run(t, nil, "listen", "tcp", addr)
				if !younger {
					daemon = idle(t)
				}
				_, port, _ := net.SplitHostPort(at)
				target := "127.0.0.1:" + port
				if addr == "[::1]:0" {
					target = at
				}
				name := filepath.Base(os.Args[0])
				name = name[:min(len(name), 15)]
				want := fmt.Sprintf("port %s is held by pid %d (%s), which is not the daemon",
					port, stranger, name)
				for _, c := range []Check{
					ask(spec.ProbeTCP, target), ask(spec.ProbeHTTP, "http://"+target+"/"),
				} {
					err := Once(within(t), c, Env{PID: daemon, Owner: only(daemon)})
					if err == nil || err.Error() != want {
						t.Errorf("%s: got %v, want %s", c, err, want)
					}
				}
				c := ask(spec.ProbeTCP, target)
				for what, env := range map[string]Env{
					"the main process": {PID: stranger, Owner: only(stranger)},
					"another of ours":  {PID: daemon, Owner: only(daemon, stranger)},
					"nobody asks":      {PID: daemon},
					"no pid":           {Owner: only(stranger)},
				} {
					if err := Once(within(t), c, env); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
			})
		}
	}
}

// TestMoreSpecificListener: who is bound to the very address takes the connection, whoever listens
// at any.
func TestMoreSpecificListener(t *testing.T) {
	daemon := idle(t)
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		// SO_REUSEPORT
		controlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, 15, 1)
		})
		return errors.Join(err, controlErr)
	}}
	wild, err := reuse.Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer wild.Close()
	file, err := wild.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(wild.Addr().String())
	ours, _ := run(t, []*os.File{file}, "inherit")
	file.Close()
	c := ask(spec.ProbeTCP, "127.0.0.1:"+port)
	env := Env{PID: ours, Owner: only(ours, daemon)}
	if err := Once(within(t), c, env); err != nil {
		t.Error(err)
	}
	// The same port is shared (SO_REUSEPORT): that the daemon listens is proven, but not that it
	// has answered.
	shared, err := reuse.Listen(t.Context(), "tcp4", "0.0.0.0:"+port)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort("127.0.0.1:" + port)
	if err := judgeTCP(addr, false, env); err != nil {
		t.Error(err)
	}
	// Of this one we are the only holder, as a supervisor is of a socket that it hands over; a
	// stranger has to hold it.
	sharedFile, _ := shared.(*net.TCPListener).File()
	shared.Close()
	run(t, []*os.File{sharedFile}, "inherit")
	sharedFile.Close()
	wantError(t, judgeTCP(addr, true, env), "which is not the daemon")
	specific, err := reuse.Listen(t.Context(), "tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	specificFile, _ := specific.(*net.TCPListener).File()
	specific.Close()
	run(t, []*os.File{specificFile}, "inherit")
	specificFile.Close()
	wantError(t, Once(within(t), c, env), "which is not the daemon")
}

// TestOtherUsersPort: to an ordinary user a server of somebody else is as little the daemon as one
// of his own; and one of his own that he may not look into is the daemon if there is no other such
// one.
func TestOtherUsersPort(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("only root can be two users")
		return
	}
	_, at := run(t, nil, "listen", "tcp", "127.0.0.1:0")
	daemon := idle(t)
	held, err := listenersAt(netip.MustParseAddrPort(at))
	if err != nil || len(held.held) != 1 || held.uids[0] != 0 {
		t.Fatalf("%+v, %v", held, err)
	}
	result := make(chan error, 1)
	sys.OnThread(func() {
		leave, err := sys.SetThreadFSUser(65534, 65534)
		if err != nil {
			result <- err
			return
		}
		defer leave()
		// What cannot be looked into as this user is hidden; root's server, too.
		result <- judge("port", held, Env{PID: daemon, Owner: only(daemon)})
	})
	wantError(t, <-result, "it is a socket of user 0, whose processes we may not look into")
}

// TestHidden: who listens is found out by leaving out.
func TestHidden(t *testing.T) {
	me := os.Getpid()
	other := idle(t)
	uid := os.Getuid()
	l := listening{uids: []int{uid}}
	for _, c := range []struct {
		hidden []int
		owner  func(int) bool
		want   string
	}{
		{[]int{me}, only(me), ""},
		{[]int{me, other}, only(me, other), ""},
		{[]int{me, other}, only(me),
			"nothing proves that it is the daemon: it is a socket of user"},
		{[]int{other}, only(me), "whose processes we may not look into"},
		{nil, only(me), "whose processes we may not look into"},
	} {
		err := judgeHidden("port 1", l, c.hidden, Env{Owner: c.owner})
		if c.want == "" && err != nil {
			t.Error(err)
		}
		if c.want != "" {
			wantError(t, err, c.want)
		}
	}
}

// TestElsewhere: of another machine nothing is proven, and asking again does not help.
func TestElsewhere(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	conn := fakeConn{a, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80},
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 999}}
	err := tcpStranger(conn, false, Env{Owner: only()})
	wantError(t, err, "192.0.2.1: not an address of this machine")
	if !errors.As(err, new(final)) {
		t.Error("it is asked again")
	}
	if err := tcpStranger(conn, false, Env{}); err != nil {
		t.Error(err)
	}
}

type fakeConn struct {
	net.Conn
	remote, local net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.remote }
func (c fakeConn) LocalAddr() net.Addr  { return c.local }

func TestStrangerHoldsTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "the socket")
	c := ask(spec.ProbeUnix, path)
	stranger := listen(t, "unix", path)
	daemon := idle(t)
	env := Env{PID: daemon, Owner: only(daemon)}
	wantError(t, Once(within(t), c, env),
		fmt.Sprintf("socket %s is held by pid %d ", path, os.Getpid()))
	// Handed over, it is the daemon's, though another process called listen(2), as soon as that one
	// has closed it.
	file, err := stranger.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	child, _ := run(t, []*os.File{file}, "inherit")
	file.Close()
	stranger.(*net.UnixListener).SetUnlinkOnClose(false)
	stranger.Close()
	if err := Once(within(t), c, Env{PID: child, Owner: only(child)}); err != nil {
		t.Error(err)
	}
	wantError(t, Once(within(t), c, env), fmt.Sprintf("socket %s is held by pid %d ", path, child))
}

// TestDatagramSocket: whose it is counts here, too.
func TestDatagramSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "datagrams")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	daemon := idle(t)
	c := ask(spec.ProbeUnix, path)
	if err := Once(within(t), c, Env{Owner: only(daemon)}); err == nil {
		t.Error("a stranger's counts")
	}
	if err := Once(within(t), c, Env{PID: os.Getpid(), Owner: only(os.Getpid())}); err != nil {
		t.Error(err)
	}
}

func TestHandedOverPortIsTheDaemons(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	child, _ := run(t, []*os.File{file}, "inherit")
	if err := Once(within(t), ask(spec.ProbeTCP, l.Addr().String()),
		Env{PID: child, Owner: only(child)}); err != nil {
		t.Error(err)
	}
}
