package sys

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const statusText = "Name:\tx\\ny\nUmask:\t0027\nState:\tS (sleeping)\nTgid:\t7\nPid:\t7\n" +
	"PPid:\t1\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t4 27 \n" +
	"VmSize:\t    3060 kB\nSigBlk:\t0000000000004000\nSigIgn:\t0000000400001001\n" +
	"SigCgt:\t0000000180000000\n" +
	"CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\n" +
	"CapAmb:\t0000000000000001\nNoNewPrivs:\t1\nFuture:\tx\n"

func TestParseStatus(t *testing.T) {
	st, err := parseStatus([]byte(statusText))
	if err != nil {
		t.Fatal(err)
	}
	if st.Name != `x\ny` || st.State != 'S' || st.TGID != 7 || st.PPID != 1 || st.Umask != 0o27 ||
		!st.Memory || st.NoNew != NoNewPrivsOn {
		t.Errorf("%+v", st)
	}
	if st.UID != [4]uint32{1, 2, 3, 4} || st.GID != [4]uint32{5, 6, 7, 8} ||
		!slices.Equal(st.Groups, []uint32{4, 27}) {
		t.Errorf("ids: %+v", st)
	}
	if st.CapPrm != 1<<41-1 || st.CapEff != 1<<10 || st.CapBnd != 1<<41-1 || st.CapAmb != 1 {
		t.Errorf("capabilities: %+v", st)
	}
	if got := st.Ignored.Signals(); !slices.Equal(got, []syscall.Signal{1, 13, 35}) {
		t.Errorf("ignored: %v", got)
	}
	if got := st.Blocked.Signals(); !slices.Equal(got, []syscall.Signal{syscall.SIGTERM}) {
		t.Errorf("blocked: %v", got)
	}
	for _, bad := range []string{
		"", "SigIgn:\t0\n", strings.Replace(statusText, "SigIgn", "Sigign", 1),
		strings.Replace(statusText, "0000000400001001", "xyz", 1),
		strings.Replace(statusText, "1\t2\t3\t4", "1\t2\t3", 1),
		strings.Replace(statusText, "S (sleeping)", "", 1),
		strings.Replace(statusText, "0027", "8", 1), strings.Replace(statusText, "4 27", "4 -1", 1),
	} {
		if st, err := parseStatus([]byte(bad)); err == nil {
			t.Errorf("%q gave %+v", bad, st)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(statusText))
	f.Add([]byte("SigIgn:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := parseStatus(data)
		if err == nil && st.State == 0 {
			t.Errorf("no state, and no error: %+v", st)
		}
	})
}

func TestReadStatusOfOurselves(t *testing.T) {
	st, err := ReadStatus(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if st.TGID != os.Getpid() || st.PPID != os.Getppid() || int(st.UID[1]) != os.Geteuid() ||
		!st.Memory || !st.Caught.Has(syscall.SIGSEGV) {
		t.Errorf("%+v", st)
	}
}

// A signal that one thread alone blocks can still be delivered.
func TestBlockedEverywhere(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	blocked := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its mask
		_, err := SetSignalMask(SignalSet(0).Add(syscall.SIGUSR2))
		blocked <- err
		<-release
	}()
	if err := <-blocked; err != nil {
		t.Fatal(err)
	}
	set, err := BlockedEverywhere(os.Getpid())
	if err != nil || set.Has(syscall.SIGUSR2) {
		t.Errorf("%v, %v", set.Signals(), err)
	}
	if _, err := BlockedEverywhere(1 << 30); !Gone(err) {
		t.Errorf("no process: %v", err)
	}
}

func TestSignalName(t *testing.T) {
	for sig, want := range map[syscall.Signal]string{
		1: "SIGHUP", 15: "SIGTERM", 31: "SIGSYS", 32: "signal 32", 34: "SIGRTMIN", 35: "SIGRTMIN+1",
		64: "SIGRTMIN+30", 65: "signal 65",
	} {
		if got := SignalName(sig); got != want {
			t.Errorf("%d: %s, want %s", int(sig), got, want)
		}
	}
}

func TestReadFDs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fds, err := ReadFDs(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(fds, func(a, b FD) int { return a.Number - b.Number }) {
		t.Errorf("not sorted: %v", fds)
	}
	i := slices.IndexFunc(fds, func(fd FD) bool { return fd.Number == int(file.Fd()) })
	if i < 0 {
		t.Fatalf("%v lacks %d", fds, file.Fd())
	}
	fd := fds[i]
	if fd.Target != name || !fd.CloseOnExec() || fd.Readable() || !fd.Writable() ||
		fd.FlagNames() != "O_WRONLY|O_APPEND|O_CLOEXEC" {
		t.Errorf("%+v, %s", fd, fd.FlagNames())
	}
	if !fd.File.Is(syscall.S_IFREG) || !slices.Equal(fd.LockedBy, []int{os.Getpid()}) ||
		time.Since(fd.File.Modify) > time.Hour {
		t.Errorf("%+v", fd)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &st); err != nil || st.Dev != fd.File.Dev ||
		st.Ino != fd.File.Inode {
		t.Errorf("%v, %v, %+v", err, st, fd.File)
	}
	old, err := stat(name) // what kernels without statx do
	if err != nil || old.Dev != fd.File.Dev || old.Inode != fd.File.Inode ||
		old.Mode != fd.File.Mode || !old.Modify.Equal(fd.File.Modify) {
		t.Errorf("stat: %v, %+v; statx: %+v", err, old, fd.File)
	}
}

func TestParseInfo(t *testing.T) {
	const info = "pos:\t0\nflags:\t02100001\nmnt_id:\t24\nino:\t3\n" +
		"lock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF\n" +
		"lock:\t1: -> FLOCK  ADVISORY  WRITE 4712 08:01:1234 0 EOF\n" +
		"lock:\t2: LEASE  ACTIVE    READ 4713 08:01:1234 0 EOF\n" +
		"lock:\t3: OFDLCK ADVISORY  WRITE -1 08:01:1234 0 EOF\n" +
		"sigmask:\t0000000000004000\n"
	var fd FD
	if err := fd.parseInfo([]byte(info)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fd.LockedBy, []int{4711, -1}) || !fd.Signals.Has(syscall.SIGTERM) ||
		!fd.CloseOnExec() || fd.FlagNames() != "O_WRONLY|O_CLOEXEC" {
		t.Errorf("%+v", fd)
	}
	for _, bad := range []string{
		"", "pos:\t0\n", "flags:\t9\n", "flags:\t0\nsigmask:\tx\n",
		"flags:\t0\nlock:\t1: FLOCK ADVISORY WRITE x y\n",
	} {
		if err := new(FD).parseInfo([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if path := (FD{Flags: 0o10000000}); path.Readable() || path.Writable() ||
		path.FlagNames() != "O_PATH" {
		t.Errorf("O_PATH: %s", path.FlagNames())
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte("flags:\t02\nlock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var fd FD
		if fd.parseInfo(data) == nil {
			_ = fd.FlagNames()
		}
	})
}

func TestTerminalDevices(t *testing.T) {
	drivers := []byte("/dev/tty             /dev/tty        5       0 system:/dev/tty\n" +
		"/dev/ptmx            /dev/ptmx       5       2 system\n" +
		"serial               /dev/ttyS       4 64-95 serial\n" +
		"pty_slave            /dev/pts      136 0-1048575 pty:slave\n" +
		"pty_master           /dev/ptm      128 0-1048575 pty:master\n" +
		"two words            /dev/ttyX     250 7 serial\nrubbish\nx /dev/x y z serial\n")
	for _, test := range []struct {
		major, minor uint32
		want         bool
	}{
		{5, 0, true}, {5, 2, false}, {4, 63, false}, {4, 64, true}, {4, 95, true}, {4, 96, false},
		{136, 9, true}, {128, 9, false}, {250, 7, true}, {1, 3, false},
	} {
		if got := inDrivers(drivers, test.major, test.minor); got != test.want {
			t.Errorf("%d:%d: %v", test.major, test.minor, got)
		}
	}
}

func TestProcList(t *testing.T) {
	var list ProcList
	before, err := ReadFDs(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		stats, err := list.Read()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(stats, func(st ProcStat) bool { return st.PID == os.Getpid() })
		if i < 0 {
			t.Fatalf("we are not among %d", len(stats))
		}
		if one, err := ReadStat(os.Getpid()); err != nil || one.StartTime != stats[i].StartTime ||
			one.Session != stats[i].Session {
			t.Errorf("%v, %+v, %+v", err, one, stats[i])
		}
	}
	if after, err := ReadFDs(os.Getpid()); err != nil || len(after) != len(before) {
		t.Errorf("%v; descriptors before %v, after %v", err, before, after)
	}
}

func BenchmarkProcList(b *testing.B) {
	var list ProcList
	n := 0
	for b.Loop() {
		stats, err := list.Read()
		if err != nil {
			b.Fatal(err)
		}
		n = len(stats)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/process")
}

func TestLimitsOf(t *testing.T) {
	limits, err := LimitsOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range limits {
		number, ok := RlimitNumber(name)
		if !ok {
			t.Errorf("%s has no number", name)
			continue
		}
		var want syscall.Rlimit
		if err := syscall.Getrlimit(number, &want); err != nil || uint64(want.Cur) != got.Soft ||
			uint64(want.Max) != got.Hard {
			t.Errorf("%s: %+v, the kernel says %+v, %v", name, got, want, err)
		}
	}
	if len(limits) != len(rlimitNumbers) {
		t.Errorf("%d limits of %d", len(limits), len(rlimitNumbers))
	}
}

func TestParseLimitsThatAreNone(t *testing.T) {
	for text, wrong := range map[string]bool{
		"":                                     false,
		"Max of a newer kernel     1 2 things": false,
		"Max open files            1":          true,
		"Max open files            many 2":     true,
	} {
		if limits, err := parseLimits([]byte(text)); (err != nil) != wrong || len(limits) > 0 {
			t.Errorf("%q: %v, %v", text, limits, err)
		}
	}
}
