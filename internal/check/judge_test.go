package check

import (
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
)

func ids(n uint32) [4]uint32 { return [4]uint32{n, n, n, n} }

func TestPrivileges(t *testing.T) {
	const all = sys.CapSet(1<<41 - 1)
	user := func(groups ...uint32) sys.ProcStatus {
		return sys.ProcStatus{UID: ids(33), GID: ids(33), Groups: groups, CapBnd: all}
	}
	root := sys.ProcStatus{CapPrm: all, CapEff: all, CapBnd: all}
	change := func(st sys.ProcStatus, f func(*sys.ProcStatus)) sys.ProcStatus { f(&st); return st }
	asked := func(uid, gid uint32, groups ...uint32) *sys.Credential {
		return &sys.Credential{UID: uid, GID: gid, Groups: groups}
	}
	tests := []struct {
		name   string
		status sys.ProcStatus
		user   *sys.Credential
		want   Result
		says   string
	}{
		{"root", root, nil, Pass, "no other user was asked for"},
		{"root as asked", root, asked(0, 0), Pass, "as asked for"},
		{"root, another asked", root, asked(33, 33), Fail, "uid 33 was asked for"},
		{"user", user(33), nil, Pass, "uid 33, gid 33, groups 33, no capabilities"},
		{"user as asked", user(33, 4), asked(33, 33, 4), Pass, ""},
		{"groups missing", user(33), asked(33, 33, 4), Fail, "groups [4] were asked for"},
		{"other group", user(), asked(33, 34), Fail, "gid 34"},
		{"saved root", change(user(), func(s *sys.ProcStatus) { s.UID[2] = 0 }), nil,
			Fail, "saved 0"},
		{"saved group", change(user(), func(s *sys.ProcStatus) { s.GID[2] = 0 }), nil, Fail,
			"other group"},
		{"setuid helper", change(user(), func(s *sys.ProcStatus) { s.UID[1] = 0 }), nil, Fail,
			"effective 0"},
		{"group of root", change(user(), func(s *sys.ProcStatus) { s.GID = ids(0) }), nil, Fail,
			"group of root"},
		{"groups of root", user(0, 4, 27), nil, Fail, "supplementary groups of root"},
		{"low port",
			change(
				user(), func(s *sys.ProcStatus) { s.CapPrm = 1 << 10; s.NoNew = sys.NoNewPrivsOn },
			), nil, Pass, "capabilities 400, no_new_privs"},
		{"setuid kept", change(user(), func(s *sys.ProcStatus) { s.CapPrm = all }), nil, Fail,
			"CAP_SETUID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &facts{status: test.status, options: Options{User: test.user}}
			got := f.privileges()
			if got.result != test.want || !strings.Contains(got.evidence, test.says) {
				t.Errorf("%s: %s", got.result, got.evidence)
			}
		})
	}
}

// The session steps on what cannot be made in a test: other namespaces,
// subreapers, logins that have ended.
func TestSessionSteps(t *testing.T) {
	shell := sys.ProcStat{
		PID: 40, Comm: "bash", PPID: 1, PGRP: 40, Session: 40, State: 'S', Threads: 1,
	}
	manager := sys.ProcStat{
		PID: 30, Comm: "systemd", PPID: 1, PGRP: 30, Session: 30, State: 'S', Threads: 1,
	}
	tests := []struct {
		name   string
		stat   sys.ProcStat
		parent sys.ProcStat
		leader sys.ProcStat
		gone   error     // why there is no leader
		want   [5]Result // steps 5 to 8, and 15
	}{
		{"daemon under init", sys.ProcStat{PID: 100, PPID: 1, PGRP: 99, Session: 99},
			sys.ProcStat{PID: 1, Session: 1}, sys.ProcStat{}, sys.ESRCH,
			[5]Result{Pass, Pass, Pass, Pass, NotObservable}},
		{"daemon under a subreaper", sys.ProcStat{PID: 100, PPID: 30, PGRP: 99, Session: 99},
			manager, sys.ProcStat{}, sys.ESRCH,
			[5]Result{Pass, Pass, Pass, Pass, NotObservable}},
		{"daemon(3)", sys.ProcStat{PID: 100, PPID: 1, PGRP: 100, Session: 100},
			sys.ProcStat{PID: 1, Session: 1}, sys.ProcStat{}, sys.ESRCH,
			[5]Result{NotObservable, Pass, Fail, Pass, NotObservable}},
		{"job of a living shell",
			sys.ProcStat{PID: 100, PPID: 40, PGRP: 100, Session: 40, TTYNr: 34816}, shell, shell,
			nil, [5]Result{Fail, Fail, Fail, Fail, Fail}},
		{"nohup, the shell has ended", sys.ProcStat{PID: 100, PPID: 1, PGRP: 100, Session: 40},
			sys.ProcStat{PID: 1, Session: 1}, sys.ProcStat{}, sys.ESRCH,
			[5]Result{NotObservable, NotObservable, NotObservable, Pass, NotObservable}},
		{"put into a container", sys.ProcStat{PID: 100, PPID: 0, PGRP: 0, Session: 0},
			sys.ProcStat{}, sys.ProcStat{}, sys.ESRCH,
			[5]Result{NotObservable, NotObservable, NotObservable, NotObservable, NotObservable}},
		{"a leader that is hidden", sys.ProcStat{PID: 100, PPID: 30, PGRP: 99, Session: 99},
			manager, sys.ProcStat{}, sys.ErrHidden,
			[5]Result{NotObservable, Fail, Fail, NotObservable, NotObservable}},
		{"the first child has not ended", sys.ProcStat{PID: 100, PPID: 40, PGRP: 40, Session: 40},
			shell, shell, nil, [5]Result{Fail, Fail, Fail, Fail, Fail}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &facts{stat: test.stat, parent: test.parent, leader: test.leader}
			if test.parent.PID == 0 {
				f.parentErr = sys.ErrHidden
			}
			if test.leader.PID == 0 {
				f.leaderErr = test.gone
			}
			steps := f.judge()
			for i, n := range []int{5, 6, 7, 8, 15} {
				if got := steps[n-1]; got.Result != test.want[i] {
					t.Errorf("step %d: %s, want %s: %s", n, got.Result, test.want[i], got.Evidence)
				}
			}
		})
	}
}

func TestMarks(t *testing.T) {
	environ := func(vars ...string) []byte { return []byte(strings.Join(vars, "\x00") + "\x00") }
	tests := []struct {
		name    string
		environ []byte
		unit    string
		fds     []sys.FD
		want    Result
	}{
		{"empty", nil, "", nil, Pass},
		{"title", []byte("nginx: master process\x00\x00=x\x00"), "", nil, NotObservable},
		{"unit",
			environ("INVOCATION_ID=x", "NOTIFY_SOCKET=/run/systemd/notify", "SYSTEMD_EXEC_PID=7",
				"WATCHDOG_USEC=1"), "x.service", nil, Pass},
		{"left by a unit", environ("INVOCATION_ID=x"), "", nil, Fail},
		{"journal", environ("JOURNAL_STREAM=8:9"), "",
			[]sys.FD{{Number: 2, File: sys.FileStat{Dev: 8, Inode: 9}}}, Pass},
		{"journal of another", environ("JOURNAL_STREAM=8:9"), "",
			[]sys.FD{{Number: 2, File: sys.FileStat{Dev: 8, Inode: 7}}}, Fail},
		{"sockets", environ("LISTEN_PID=100", "LISTEN_FDS=1", "LISTEN_FDNAMES=a"), "", nil, Pass},
		{"sockets of another", environ("LISTEN_PID=99", "LISTEN_FDS=1"), "", nil, Fail},
		{"sockets of nobody", environ("LISTEN_FDS=1"), "", nil, Fail},
		{"watchdog", environ("WATCHDOG_PID=100", "WATCHDOG_USEC=1"), "", nil, Pass},
		{"only alike", environ("_GO_DAEMONS=1", "XSUPERVISOR_=1", "TERM=x"), "", nil, Pass},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &facts{
				stat:    sys.ProcStat{PID: 100},
				environ: test.environ,
				unit:    test.unit,
				fds:     test.fds,
			}
			if got := f.environment(); got.result != test.want {
				t.Errorf("%s: %s", got.result, got.evidence)
			}
		})
	}
}

func TestSocketTables(t *testing.T) {
	table := map[uint64]socket{}
	here, other := sys.InetAddr{IP: []byte{127, 0, 0, 1}, Port: 8080},
		sys.InetAddr{IP: []byte{127, 0, 0, 1}, Port: 32768}
	any4, any6 := make([]byte, 4), make([]byte, 16)
	addSocket(table, "tcp", sys.NetSocket{Local: here, State: sys.TCPListen, Inode: 111})
	addSocket(table, "tcp",
		sys.NetSocket{Local: here, Remote: other, State: sys.TCPEstablished, Inode: 112})
	addSocket(table, "tcp", sys.NetSocket{Local: other, Remote: here, State: 6}) // TIME_WAIT
	addSocket(table, "tcp6",
		sys.NetSocket{Local: sys.InetAddr{IP: any6, Port: 80}, State: sys.TCPListen, Inode: 113})
	addSocket(table, "udp",
		sys.NetSocket{Local: sys.InetAddr{IP: any4, Port: 53}, State: sys.TCPClosed, Inode: 114})
	addSocket(table, "unix",
		sys.NetSocket{Name: "/run/x", Kind: sys.SOCK_STREAM, Accepts: true, Inode: 115})
	addSocket(table,
		"unix", sys.NetSocket{
			Name:  "/run/x",
			Kind:  sys.SOCK_STREAM,
			State: sys.UnixConnected,
			Inode: 116,
		})
	addSocket(table, "unix",
		sys.NetSocket{Kind: sys.SOCK_STREAM, State: sys.UnixConnected, Inode: 117})
	addSocket(table, "unix", sys.NetSocket{Name: "/dev/log", Kind: sys.SOCK_DGRAM, Inode: 118})
	const sock = 0o140000
	f := &facts{socketTable: table, fds: []sys.FD{{File: sys.FileStat{Mode: sock, Inode: 111}},
		{File: sys.FileStat{Mode: sock, Inode: 115}}}}
	f.markAccepted()
	want := map[uint64]socket{
		111: {"127.0.0.1:8080", true, false}, 112: {"127.0.0.1:8080", false, true},
		113: {"[::]:80", true, false}, 114: {"0.0.0.0:53", true, false},
		115: {"/run/x", true, false}, 116: {"/run/x", false, true}, 117: {"", false, false},
		118: {"/dev/log", true, false},
	}
	for inode, s := range want {
		if table[inode] != s {
			t.Errorf("%d: %+v, want %+v", inode, table[inode], s)
		}
	}
	if len(table) != len(want) {
		t.Errorf("%d sockets", len(table))
	}
}

// What check calls a mark, a daemon of ours must not have.
func TestMarksAreRemoved(t *testing.T) {
	for _, m := range marks {
		for _, mark := range m.names {
			if name := strings.Replace(mark, "*", "X", 1); !spawn.IsMark(name) {
				t.Errorf("spawn leaves %s in the environment", name)
			}
		}
	}
}

func TestMountPoint(t *testing.T) {
	mounts := []sys.Mount{
		{ID: 21, Dev: 8<<8 | 1, Point: "/"}, {ID: 22, Dev: 8<<8 | 2, Point: "/home"},
		{ID: 23, Dev: 8<<8 | 3, Point: "/home/a b"}, {ID: 24, Dev: 8<<8 | 1, Point: "/mnt"},
	}
	tests := []struct {
		path  string
		dev   uint64
		mount uint64
		want  string
	}{
		{"/etc", 8<<8 | 1, 21, "/"},
		{"/home/x", 8<<8 | 2, 22, "/home"},
		{"/home/a b/c", 8<<8 | 3, 23, "/home/a b"},
		{"/mnt/x", 8<<8 | 1, 24, "/mnt"},
		{"/x", 8<<8 | 1, 99, ""},
		// Before Linux 5.8: the number of the device and the longest path.
		{"/etc", 8<<8 | 1, 0, "/"},
		{"/home/a b", 8<<8 | 3, 0, "/home/a b"},
		{"/mnt/x", 8<<8 | 1, 0, "/mnt"},
		{"/mntx", 8<<8 | 1, 0, "/"},
		{"/x", 9<<8 | 1, 0, ""},
	}
	for _, test := range tests {
		f := &facts{
			mounts:  mounts,
			cwdPath: test.path,
			cwd:     sys.FileStat{Dev: test.dev, Mount: test.mount},
		}
		if got := f.mountPoint(); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestTerminalName(t *testing.T) {
	for nr, want := range map[int]string{136 << 8: "/dev/pts/0", 136<<8 | 7: "/dev/pts/7",
		137 << 8: "/dev/pts/256", 136<<8 | 1<<20: "/dev/pts/256",
		4<<8 | 1: "/dev/tty1", 4<<8 | 64: "/dev/ttyS0", 204<<8 | 3: "204:3"} {
		if got := terminalName(nr); got != want {
			t.Errorf("%#x: %s, want %s", nr, got, want)
		}
	}
}

// Names are chosen by strangers; a report is read on a terminal.
func TestClean(t *testing.T) {
	for name, want := range map[string]string{
		"nginx": "nginx", "a b": "a b", "x\x1b[2J": `"x\x1b[2J"`, "a\nb": `"a\nb"`, "é": "é",
		"\xff": `"\xff"`,
	} {
		if got := clean(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
