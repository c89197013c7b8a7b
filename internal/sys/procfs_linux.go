package sys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// BootID returns a text that is different after every boot of this machine:
// what is counted since boot (start times, pidfd numbers) means something only
// together with it. Linux: /proc/sys/kernel/random/boot_id, which containers
// share with their host. Darwin: kern.bootsessionuuid.
func BootID() (string, error) {
	const path = "/proc/sys/kernel/random/boot_id"
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(data))
	if id == "" {
		return "", fmt.Errorf("read %s: it is empty", path)
	}
	return id, nil
}

// ResidentMemory returns the bytes that process pid has in memory and shares with no file
// (resident less shared, proc_pid_statm(5)).
// Elsewhere than on Linux the error wraps errors.ErrUnsupported.
func ResidentMemory(pid int) (int64, error) {
	b, err := readWhole("/proc/"+strconv.Itoa(pid)+"/statm", nil)
	if err != nil {
		return 0, err
	}
	// size resident shared …, in pages (proc_pid_statm(5)); shared are those of files and of shared
	// memory.
	f := bytes.Fields(b)
	if len(f) < 3 {
		return 0, fmt.Errorf("statm of process %d: %q", pid, b)
	}
	resident, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		return 0, err
	}
	shared, err := strconv.ParseInt(string(f[2]), 10, 64)
	if err != nil {
		return 0, err
	}
	return (resident - shared) * int64(os.Getpagesize()), nil
}

// ProcList reads the stat of every process, again and again into the same
// memory: at 10,000 processes a scan costs one open, read and close each, and
// little else. The zero value is ready; one goroutine at a time.
type ProcList struct {
	stats []ProcStat
	buf   []byte
}

// Read returns all processes that /proc shows, zombies included, in no order
// that matters. The slice is valid until the next Read.
//
// It is no snapshot: the kernel has none to give. Each element is true of its
// process at one moment of the scan; a process born meanwhile may be missing,
// one that ended may be there. The error wraps ErrHidden when /proc shows
// another pid namespace than ours, and on other systems than Linux errors.ErrUnsupported.
func (l *ProcList) Read() ([]ProcStat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close() // read only: an error of close loses nothing
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrHidden)
	}
	if self != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf(
			"/proc/self is %s and we are %d: /proc is of another pid namespace: %w",
			self,
			os.Getpid(), ErrHidden,
		)
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	if l.buf == nil {
		// A line of stat is about 350 bytes; its 52 numbers of at most 20
		// digits and the name cannot fill this.
		l.buf = make([]byte, 2048)
	}
	l.stats = l.stats[:0]
	at := int(dir.Fd())
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if err := l.add(at, name); err != nil {
			return nil, err
		}
	}
	return l.stats, nil
}

// add reads one process; one that has ended or is not ours to see is left out.
func (l *ProcList) add(dir int, name string) error {
	path := name + "/stat"
	n, err := l.readInto(dir, path)
	switch err {
	case nil:
	case unix.ENOENT, unix.ESRCH, unix.EACCES, unix.EPERM:
		return nil
	default:
		return &fs.PathError{Op: "read", Path: "/proc/" + path, Err: err}
	}
	st, err := parseStat(l.buf[:n])
	if err != nil {
		return fmt.Errorf("read /proc/%s: %w", path, err)
	}
	l.stats = append(l.stats, st)
	return nil
}

// readInto reads a file of /proc whole: such files are made at the read, and
// one read that has room gets everything.
func (l *ProcList) readInto(dir int, path string) (int, error) {
	fd, err := retry1(func() (int, error) {
		return unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return 0, err
	}
	n, err := retry1(func() (int, error) { return unix.Read(fd, l.buf) })
	if closeErr := unix.Close(fd); err == nil && closeErr != nil {
		err = closeErr
	}
	if err == nil && n == len(l.buf) {
		err = syscall.EOVERFLOW
	}
	return n, err
}

// ReadKernelFile reads a file that the kernel makes as it is read, in /proc or of a control group:
// as os.ReadFile does, with fewer system calls.
func ReadKernelFile(path string) ([]byte, error) { return readWhole(path, nil) }

// page is what the kernel makes of most files in /proc at a time. It ends a piece before an entry
// that does not fit any more (seq_read_iter in fs/seq_file.c), so one that is not half full is the
// last.
const page = 4096

// readWhole reads a file of /proc to its end, into buf if that is large enough. It makes three
// system calls where os.ReadFile makes ten, which try whether the file can be polled: "status"
// reads thousands.
func readWhole(path string, buf []byte) ([]byte, error) {
	fd, err := retry1(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) // read only: an error of close loses nothing
	data := slices.Grow(buf[:0], page)
	for {
		data = slices.Grow(data, page)
		n, err := retry1(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		data = data[:len(data)+n]
		if n < page/2 {
			return data, nil
		}
	}
}

// ReadStat reads the facts of process pid. The error wraps syscall.ESRCH when
// there is no such process and ErrHidden when there is one that may not be
// looked at.
func ReadStat(pid int) (ProcStat, error) {
	data, err := readProc(pid, "stat")
	if err != nil {
		return ProcStat{}, err
	}
	s, err := parseStat(data)
	if err == nil && s.PID != pid {
		// /proc of another pid namespace: its numbers are not ours.
		err = fmt.Errorf("it tells of process %d: %w", s.PID, ErrHidden)
	}
	if err != nil {
		return ProcStat{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	return s, nil
}

// readProc reads one file of a process and tells "no such process" from
// "not for you to see": both are ENOENT under hidepid=2.
func readProc(pid int, name string) ([]byte, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("read process %d: %w", pid, syscall.EINVAL)
	}
	path := "/proc/" + strconv.Itoa(pid) + "/" + name
	data, err := readWhole(path, nil)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, syscall.ESRCH): // it ended between open and read
		return nil, err
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EACCES), errors.Is(err,
		syscall.EPERM):
		if !exists(pid) {
			return nil, fmt.Errorf("read %s: %w", path, syscall.ESRCH)
		}
		return nil, fmt.Errorf("read %s: %w", path, ErrHidden)
	}
	return nil, err
}

var errStatFormat = errors.New("not in the format of proc(5)")

// parseStat reads a line of /proc/PID/stat. The second field is the name in
// parentheses, and the name may hold spaces, parentheses and newlines; nothing
// after it can hold a parenthesis, so the name ends at the last one.
func parseStat(data []byte) (ProcStat, error) {
	left, right := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if left < 2 || right < left || data[left-1] != ' ' {
		return ProcStat{}, errStatFormat
	}
	s := ProcStat{Comm: string(data[left+1 : right])}
	f := bytes.Fields(data[right+1:])
	// f[0] is field 3 of proc(5), so field n is f[n-3].
	if len(f) < 20 || len(f[0]) != 1 {
		return ProcStat{}, errStatFormat
	}
	if s.State = f[0][0]; s.State < 'A' || s.State > 'z' {
		return ProcStat{}, errStatFormat
	}
	for _, n := range []struct {
		text []byte
		into *int
	}{
		{data[:left-1], &s.PID}, {f[1], &s.PPID}, {f[2], &s.PGRP}, {f[3], &s.Session},
		{f[4], &s.TTYNr}, {f[5], &s.TPGID}, {f[17], &s.Threads},
	} {
		v, err := strconv.ParseInt(string(n.text), 10, 32)
		if err != nil {
			return ProcStat{}, errStatFormat
		}
		*n.into = int(v)
	}
	var err error
	if s.StartTime, err = strconv.ParseUint(string(f[19]), 10, 64); err != nil {
		return ProcStat{}, errStatFormat
	}
	s.Unmapped = len(f) > 20 && string(f[20]) == "0" // vsize
	return s, nil
}

// userHz is the unit of times in /proc: USER_HZ, 100 on every architecture Go
// runs on (time(7)).
const userHz = 100

// StartedAt returns when the process started by today's wall clock. The kernel
// counts from boot, so a clock that was set since then shifts the answer: it is
// fit for showing to people, never for proving who a process is.
func StartedAt(s ProcStat) (time.Time, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Time{}, wrap("clock_gettime", err)
	}
	age := time.Duration(ts.Nano()) - time.Duration(s.StartTime)*(time.Second/userHz)
	return time.Now().Add(-age), nil
}

// ReadUserIDs reads the user ids of process pid, with the errors of ReadStat.
func ReadUserIDs(pid int) (UserIDs, error) {
	st, err := ReadStatus(pid)
	if err != nil {
		return UserIDs{}, err
	}
	return UserIDs{Real: int(st.UID[0]), Effective: int(st.UID[1]), Saved: int(st.UID[2])}, nil
}

// userTick is one unit of the times in /proc/PID/stat.
const userTick = time.Second / userHz

// ReadUsage returns what process pid, without its children, has used and
// uses. The error wraps syscall.ESRCH when there is no such process.
// Elsewhere than on Linux it wraps errors.ErrUnsupported.
func ReadUsage(pid int) (Usage, error) {
	data, err := readProc(pid, "stat")
	if err != nil {
		return Usage{}, err
	}
	u := Usage{}
	if u.CPU, err = parseCPU(data); err != nil {
		return Usage{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	u.Memory, err = ResidentMemory(pid)
	return u, err
}

// parseCPU returns the sum of utime and stime, fields 14 and 15 of
// proc_pid_stat(5). For the parenthesis see parseStat.
func parseCPU(stat []byte) (time.Duration, error) {
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 {
		return 0, errStatFormat
	}
	var sum time.Duration
	for _, text := range f[11:13] {
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return 0, errStatFormat
		}
		sum += time.Duration(n) * userTick
	}
	return sum, nil
}

// namesIn lists a directory, in no order.
func namesIn(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close() // read only: an error of close loses nothing
	return d.Readdirnames(-1)
}

// numbersIn lists what is named by a number in a directory, in no order.
func numbersIn(dir string) ([]int, error) {
	names, err := namesIn(dir)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, 0, len(names))
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// procDir is the directory of a process; 0 is ourselves.
func procDir(pid int) string {
	if pid == 0 {
		return "/proc/self"
	}
	return "/proc/" + strconv.Itoa(pid)
}

// PIDs lists the numbers of all processes that /proc shows, in no order.
func PIDs() ([]int, error) { return numbersIn("/proc") }

// PIDNamespace returns the number of our pid namespace; 0 on a kernel that has but one.
func PIDNamespace() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0
	}
	return st.Ino
}

// OOMKills returns how many processes the kernel has killed for want of memory (/proc/vmstat,
// Linux 4.13).
func OOMKills() (uint64, error) {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, err
	}
	_, after, ok := bytes.Cut(b, []byte("\noom_kill "))
	if !ok {
		return 0, errors.ErrUnsupported
	}
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return strconv.ParseUint(string(line), 10, 64)
}
