package probe

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
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

// idleAfter starts a process that holds no socket, to stand for the daemon. It
// is provably younger than pid: the kernel's clock has ticked between them.
func idleAfter(t *testing.T, pid int) int {
	for {
		if young, _ := run(t, nil, "inherit"); older(pid, young) {
			return young
		}
	}
}

func TestStrangerHoldsThePort(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		t.Run(addr, func(t *testing.T) {
			stranger, at := run(t, nil, "listen", "tcp", addr)
			_, port, _ := net.SplitHostPort(at)
			target := "127.0.0.1:" + port
			if addr == "[::1]:0" {
				target = at
			}
			daemon := idleAfter(t, stranger)
			name := filepath.Base(os.Args[0])
			name = name[:min(len(name), 15)]
			want := fmt.Sprintf("port %s is held by pid %d (%s), which is not the daemon", port, stranger, name)
			for _, c := range []Check{{Kind: TCP, Target: target}, {Kind: HTTP, Target: "http://" + target + "/"}} {
				err := Once(within(t), c, Env{PID: daemon, Owner: only(daemon)})
				if err == nil || err.Error() != want {
					t.Errorf("%s: got %v, want %s", c, err, want)
				}
			}
			c := Check{Kind: TCP, Target: target}
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

func TestStrangerOfAnyAgeWithoutPID(t *testing.T) {
	_, at := run(t, nil, "listen", "tcp", "127.0.0.1:0")
	err := Once(within(t), Check{Kind: TCP, Target: at}, Env{Owner: only()})
	wantError(t, err, "which is not the daemon")
}

// A holder younger than the daemon is not an earlier instance.
func TestYoungerHolderCounts(t *testing.T) {
	daemon := os.Getppid()
	_, at := run(t, nil, "listen", "tcp", "127.0.0.1:0")
	if err := Once(within(t), Check{Kind: TCP, Target: at}, Env{PID: daemon, Owner: only(daemon)}); err != nil {
		t.Fatal(err)
	}
}

func TestStrangerHoldsTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "the socket")
	c := Check{Kind: Unix, Target: path}
	stranger := listen(t, "unix", path)
	daemon := idleAfter(t, os.Getpid())
	env := Env{PID: daemon, Owner: only(daemon)}
	wantError(t, Once(within(t), c, env), fmt.Sprintf("socket %s is held by pid %d ", path, os.Getpid()))
	// Handed over, it is the daemon's, though another process called listen(2).
	file, err := stranger.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	heir, _ := run(t, []*os.File{file}, "inherit")
	if err := Once(within(t), c, Env{PID: heir, Owner: only(heir)}); err != nil {
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
	heir, _ := run(t, []*os.File{file}, "inherit")
	if err := Once(within(t), Check{Kind: TCP, Target: l.Addr().String()}, Env{PID: heir, Owner: only(heir)}); err != nil {
		t.Error(err)
	}
}

func FuzzProcAddr(f *testing.F) {
	for _, seed := range []string{"0100007F:1F90", "00000000000000000000000001000000:0016", "0000000000000000FFFF00000100007F:1F90", "", ":", "0100007F", "01:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if addr, ok := parseProcAddr(text); ok && !addr.IsValid() {
			t.Errorf("%q gives %v", text, addr)
		}
	})
}

func TestProcAddr(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000:0050":                         "0.0.0.0:80",
		"00000000000000000000000001000000:0016": "[::1]:22",
		"0000000000000000FFFF00000100007F:1F90": "127.0.0.1:8080",
	} {
		if got, ok := parseProcAddr(text); !ok || got != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
}
