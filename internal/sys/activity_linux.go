package sys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Activity follows what a process and all that it started do, from look to look. A process whose
// parent has ended is still followed. Make it with NewActivity; one goroutine at a time.
type Activity struct {
	root  int
	turn  uint // counts looks
	procs map[int]*followed
	next  []int // to be looked at in this turn
	done  Doing
	buf   []byte
}

// followed is what is known of a process since the last look.
type followed struct {
	start   uint64
	turn    uint
	files   int64
	threads map[int]thread
}

type thread struct {
	used, waited time.Duration
	turn         uint
}

// NewActivity follows process pid and its descendants. Nothing is read yet, and nothing has to be
// closed.
func NewActivity(pid int) *Activity {
	return &Activity{root: pid, procs: map[int]*followed{}}
}

// mostFollowed bounds a look at what may be growing while it is looked at. Who has more threads
// than that is not at rest as far as can be seen.
const mostFollowed = 8192

// Look looks. more are processes to follow besides, such as those of a control group. The error
// wraps ErrHidden when one of them may not be looked at, and errors.ErrUnsupported where the kernel
// does not tell (other systems than Linux; Linux without CONFIG_PROC_CHILDREN).
func (a *Activity) Look(more []int) (Doing, error) {
	if a.turn == 0 {
		if err := childrenTold(); err != nil {
			return Doing{}, err
		}
	}
	a.turn++
	a.done = Doing{Changed: a.turn == 1}
	a.next = append(a.next[:0], a.root)
	a.next = append(a.next, more...)
	for pid := range a.procs {
		a.next = append(a.next, pid)
	}
	given, followed := 1+len(more), len(a.next)
	for i := 0; i < len(a.next); i++ {
		if a.done.Threads > mostFollowed {
			a.done.Running = true
			break
		}
		// One that is only known from before may have ended, and its number may be a stranger's;
		// not so a child of one that is there.
		known := i == 0 && a.turn > 1 || given <= i && i < followed
		if err := a.process(a.next[i], known); err != nil {
			return Doing{}, err
		}
	}
	for pid, p := range a.procs {
		if p.turn != a.turn {
			delete(a.procs, pid)
			a.done.Changed = true
		}
	}
	return a.done, nil
}

// Processes are those that the last look has found.
func (a *Activity) Processes() []int {
	list := make([]int, 0, len(a.procs))
	for pid := range a.procs {
		list = append(list, pid)
	}
	return list
}

// childrenTold says whether this kernel names the children of a thread.
func childrenTold() error {
	_, err := os.Stat("/proc/thread-self/children")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("/proc/PID/task/TID/children: %w", errors.ErrUnsupported)
	}
	return err
}

// process looks at one process and puts its children down to be looked at; at one that is known
// only if it is still that one.
func (a *Activity) process(pid int, known bool) error {
	p := a.procs[pid]
	if p != nil && p.turn == a.turn {
		return nil
	}
	dir := "/proc/" + strconv.Itoa(pid)
	data, err := a.read(pid, dir+"/stat")
	if err != nil {
		return err
	}
	var stat ProcStat
	if data != nil {
		if stat, err = parseStat(data); err != nil {
			return fmt.Errorf("read %s/stat: %w", dir, err)
		}
	}
	other := known && p != nil && p.start != stat.StartTime
	if data == nil || other || stat.Exited() || stat.Unmapped { // gone, or going
		a.done.Running = a.done.Running || pid == a.root
		return nil
	}
	if p == nil || p.start != stat.StartTime {
		p = &followed{start: stat.StartTime, threads: map[int]thread{}}
		a.procs[pid] = p
		a.done.Changed = true
	}
	p.turn = a.turn
	a.files(p, dir)
	if err := a.threads(p, pid, dir, stat); err != nil {
		return err
	}
	for tid, t := range p.threads {
		if t.turn != a.turn {
			delete(p.threads, tid)
			a.done.Changed = true
		}
	}
	return nil
}

// files notices that a descriptor has come or gone: the size of the directory tells how many there
// are (Linux 6.2), and nobody has to be asked for permission.
func (a *Activity) files(p *followed, dir string) {
	var st unix.Stat_t
	if unix.Stat(dir+"/fd", &st) == nil && st.Size != p.files {
		p.files = st.Size
		a.done.Changed = true
	}
}

// threads looks at the threads of a process. Of a process with one all is said at the top.
func (a *Activity) threads(p *followed, pid int, dir string, stat ProcStat) error {
	if stat.Threads == 1 {
		a.thread(p, pid, stat.State)
		if err := a.count(p, pid, pid, dir); err != nil {
			return err
		}
		return a.children(pid, dir+"/task/"+strconv.Itoa(pid))
	}
	tids, err := numbersIn(dir + "/task")
	if Gone(err) {
		return nil // the next look knows
	}
	if err != nil {
		return err
	}
	for _, tid := range tids {
		if a.done.Threads > mostFollowed {
			break
		}
		task := dir + "/task/" + strconv.Itoa(tid)
		data, err := a.read(pid, task+"/stat")
		if err != nil {
			return err
		}
		end := bytes.LastIndexByte(data, ')')
		if end < 0 || end+2 >= len(data) || data[end+2] == 'X' || data[end+2] == 'Z' {
			continue // has ended meanwhile
		}
		a.thread(p, tid, data[end+2])
		if err := a.count(p, pid, tid, task); err != nil {
			return err
		}
		if err := a.children(pid, task); err != nil {
			return err
		}
	}
	return nil
}

func (a *Activity) thread(p *followed, tid int, state byte) {
	a.done.Threads++
	a.done.Running = a.done.Running || state == 'R' || state == 'D'
	if _, known := p.threads[tid]; !known {
		a.done.Changed = true
		p.threads[tid] = thread{used: -1}
	}
}

// count adds what a thread has used since the look before.
func (a *Activity) count(p *followed, pid, tid int, task string) error {
	used, waited, err := a.times(pid, task)
	if err != nil {
		return err
	}
	if t := p.threads[tid]; t.used >= 0 {
		a.done.Used += max(0, used-t.used)
		a.done.Waited = max(a.done.Waited, waited-t.waited)
	}
	p.threads[tid] = thread{used, waited, a.turn}
	return nil
}

// times reads the processor time of a thread, and how long it has waited for one: exactly, in
// nanoseconds, where the kernel keeps schedstat (CONFIG_SCHED_INFO, sched-stats.rst), else in
// hundredths of a second, and not the second.
func (a *Activity) times(pid int, task string) (used, waited time.Duration, err error) {
	data, err := a.read(pid, task+"/schedstat")
	if err != nil {
		return 0, 0, err
	}
	if first, rest, ok := bytes.Cut(data, []byte(" ")); ok {
		second, _, _ := bytes.Cut(rest, []byte(" "))
		ran, ranErr := strconv.ParseInt(string(first), 10, 64)
		delayed, delayedErr := strconv.ParseInt(string(second), 10, 64)
		return time.Duration(ran), time.Duration(delayed), errors.Join(ranErr, delayedErr)
	}
	if data, err = a.read(pid, task+"/stat"); data == nil {
		return 0, 0, err
	}
	used, err = parseCPU(data)
	return used, 0, err
}

// children puts the children of a thread down to be looked at.
func (a *Activity) children(pid int, task string) error {
	data, err := a.read(pid, task+"/children")
	if err != nil {
		return err
	}
	if a.next, err = appendPIDs(a.next, data); err != nil {
		return fmt.Errorf("read %s/children: %w", task, err)
	}
	return nil
}

// read reads a file of a process into the buffer; nil if the process, the thread or the file is
// gone.
func (a *Activity) read(pid int, path string) ([]byte, error) {
	data, err := readWhole(path, a.buf)
	switch errno, _ := Errno(err); errno {
	case 0:
		a.buf = data
		return data, err
	case unix.ESRCH:
		return nil, nil
	case unix.ENOENT, unix.EACCES, unix.EPERM:
		if shown(pid) || !exists(pid) {
			return nil, nil
		}
		return nil, fmt.Errorf("read %s: %w", path, ErrHidden)
	}
	return nil, err
}

// shown says whether /proc shows a process, whatever is missing in its directory.
func shown(pid int) bool {
	var st unix.Stat_t
	return unix.Stat("/proc/"+strconv.Itoa(pid)+"/stat", &st) == nil
}
