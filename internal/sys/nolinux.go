//go:build !linux

package sys

import (
	"context"
	"os"
	"time"
)

func (c Channel) CloseRead() error         { return Unsupported("shutdown(SHUT_RD)") }
func (c Channel) Unread() (bool, error)    { return false, Unsupported("ioctl(SIOCOUTQ)") }
func OpenVsock(int) (int, error)           { return -1, Unsupported("vsock socket") }
func BindVsockPrivileged(int) error        { return Unsupported("vsock bind") }
func KeepAliveOf(int) (KeepAlive, error)   { return KeepAlive{}, Unsupported("TCP_KEEPIDLE") }
func SetSocketMode(int, os.FileMode) error { return Unsupported("fchmod of a socket") }

func NetSockets(int, string, int64, func(NetSocket) bool) error { return Unsupported("/proc/net") }
func SocketInode(string) uint64                                 { return 0 }

func Children() ([]int, error)                 { return nil, Unsupported("list of children") }
func ChildrenOf(int) ([]int, error)            { return nil, Unsupported("list of children") }
func ChildrenOfThread(int, int) ([]int, error) { return nil, Unsupported("list of children") }
func DescendantsOf(int) ([]int, error)         { return nil, Unsupported("list of children") }

// waitPeriod bounds how late a death is noticed where it cannot be waited for without reaping.
const waitPeriod = 5 * time.Millisecond

func WaitAnyExit() error {
	<-time.After(waitPeriod)
	return nil
}

func DeadChild() (int, error) { return 0, Unsupported("waitid") }

func ZombieStatus(BarePidfd, int) (status WaitStatus, known bool, err error) {
	return status, false, nil
}

func HoldProcess(int) (BarePidfd, error) { return -1, Unsupported("pidfd_open") }
func (BarePidfd) ID() (uint64, error)    { return 0, Unsupported("pidfd") }
func (BarePidfd) Signal(Signal) error    { return Unsupported("pidfd_send_signal") }
func (BarePidfd) Exited() (bool, error)  { return false, Unsupported("pidfd") }

func (BarePidfd) ExitStatus() (WaitStatus, bool, error) {
	var none WaitStatus
	return none, false, Unsupported("pidfd")
}

func (p BarePidfd) TakeFD(int) (int, error) { return -1, Unsupported("pidfd_getfd") }

type ExitWatch struct{}

func NewExitWatch() (*ExitWatch, error)         { return nil, Unsupported("pidfd") }
func (ExitWatch) Add(BarePidfd, uint64) error   { return Unsupported("pidfd") }
func (ExitWatch) Wait([]ExitEvent) (int, error) { return 0, Unsupported("pidfd") }
func (ExitWatch) Wake() error                   { return nil }
func (ExitWatch) Close() error                  { return nil }

func PidfdOpen(int) (*os.File, error)           { return nil, Unsupported("pidfd_open") }
func PidfdSendSignal(*os.File, Signal) error    { return Unsupported("pidfd_send_signal") }
func PidfdWait(context.Context, *os.File) error { return Unsupported("pidfd") }

func Self() (string, error)                   { return os.Executable() }
func LibraryOf(uintptr) string                { return "" }
func firstThread() bool                       { return false }
func Nice() (int, error)                      { return 0, Unsupported("getpriority") }
func SetNiceOfAll(int) error                  { return Unsupported("setpriority") }
func OOMScoreAdj() (int, error)               { return 0, Unsupported("oom_score_adj") }
func SetOOMScoreAdj(int) error                { return Unsupported("oom_score_adj") }
func SetParentDeathSignal(Signal) error       { return Unsupported("prctl(PR_SET_PDEATHSIG)") }
func BecomeSubreaper() error                  { return Unsupported("child subreaper") }
func JoinCgroup(string) error                 { return Unsupported("control groups") }
func InMemory(string) (*os.File, error)       { return nil, Unsupported("memfd_create") }
func UnshareFS() error                        { return Unsupported("unshare") }
func LowerThread() error                      { return Unsupported("thread priority") }
func LimitsOf(int) (map[string]Rlimit, error) { return nil, Unsupported("/proc/PID/limits") }

func GainedPrivileges() bool                      { return false }
func Unmapped(int) bool                           { return false }
func SetThreadFSUser(int, int) (func(), error)    { return nil, Unsupported("setfsuid") }
func SetThreadCapabilities(CapSet, Ambient) error { return Unsupported("capabilities") }
func DropBounding(CapSet) error                   { return Unsupported("capabilities") }
func SetNoNewPrivs() error                        { return Unsupported("no_new_privs") }

func SetSignalMask(SignalSet) (SignalSet, error) { return 0, Unsupported("sigprocmask") }
func ResetIgnoredSignals() error                 { return Unsupported("sigaction") }
func IgnoredSignals() (SignalSet, error)         { return 0, Unsupported("sigaction") }

func SameDescription(int, int) (bool, error)   { return false, Unsupported("kcmp") }
func PipeSize(int) (int, error)                { return 0, Unsupported("fcntl(F_GETPIPE_SZ)") }
func SetPipeSize(int, int) (int, error)        { return 0, Unsupported("fcntl(F_SETPIPE_SZ)") }
func Tee(int, int, int) (int, error)           { return 0, Unsupported("tee") }
func LocalFS(string) (bool, error)             { return false, Unsupported("statfs") }
func SetAside(*os.File, int64, int64) bool     { return true }
func KeepsNothing(*os.File) bool               { return false }
func MemoryFile(name string) (*os.File, error) { return unlinkedFile(name) }

// By name: futimes, the call for descriptors here, knows only microseconds.
// SetModTime reads the time back through f, so a name that means another file
// by now is noticed.
func setModTime(_ *os.File, path string, t time.Time) error {
	return os.Chtimes(path, time.Time{}, t)
}

func TryOFDLock(*os.File) error             { return Unsupported("fcntl") }
func LockForLife(*os.File) error            { return Unsupported("fcntl(F_OFD_SETLK)") }
func LockForStart(*os.File) error           { return Unsupported("fcntl(F_OFD_SETLK)") }
func WriteLocked(f *os.File) (bool, error)  { return LockedByOther(f) }
func Lockers(*os.File) []Locker             { return nil }
func HoldsLock(int, *os.File) bool          { return false }
func OpenUnlinked(string, int) []*os.File   { return nil }
func CloseInherited(*os.File)               {}
func ChangedAt(*os.File) (time.Time, error) { return time.Time{}, Unsupported("st_ctime") }

type Watch struct{}

func NewWatch() (*Watch, error)                { return nil, Unsupported("epoll") }
func (*Watch) Add(int, Interest, uint64) error { return Unsupported("epoll") }
func (*Watch) Remove(int) error                { return Unsupported("epoll") }
func (*Watch) Next([]uint64) (int, error)      { return 0, Unsupported("epoll") }
func (*Watch) Close() error                    { return nil }

type Watcher struct{}

func NewWatcher() (*Watcher, error)       { return nil, Unsupported("inotify") }
func (*Watcher) Add(string) error         { return Unsupported("inotify") }
func (*Watcher) AddNames(string) error    { return Unsupported("inotify") }
func (*Watcher) Wait(time.Duration) error { return Unsupported("inotify") }
func (*Watcher) Close() error             { return Unsupported("inotify") }

func PIDs() ([]int, error) { return nil, Unsupported("/proc") }

func ReadStatus(int) (ProcStatus, error)       { return ProcStatus{}, Unsupported("/proc/PID") }
func ReadUsage(int) (Usage, error)             { return Usage{}, Unsupported("/proc/PID/stat") }
func ResidentMemory(int) (int64, error)        { return 0, Unsupported("memory of a process") }
func BlockedEverywhere(int) (SignalSet, error) { return 0, Unsupported("/proc/PID/task") }

func ReadKernelFile(path string) ([]byte, error) { return os.ReadFile(path) }
func Cmdline(int) ([]string, error)              { return nil, Unsupported("/proc/PID/cmdline") }
func Environ(int) ([]byte, error)                { return nil, Unsupported("/proc/PID/environ") }
func Cgroups(int) (map[string]string, error)     { return nil, Unsupported("/proc/PID/cgroup") }

func DirectoryOf(int, string) (string, FileStat, error) {
	return "", FileStat{}, Unsupported("/proc/PID/cwd")
}

func Mounts(int) ([]Mount, error) { return nil, Unsupported("/proc/PID/mountinfo") }
func PIDNamespace() uint64        { return 0 }
func OOMKills() (uint64, error)   { return 0, Unsupported("/proc/vmstat") }

// No open(2) flags here: ReadFDs is not there to return one.
const closeOnExecFlag, pathOnlyFlag = 0, 0

func ReadFDs(int) ([]FD, error)                { return nil, Unsupported("/proc/PID/fd") }
func EachFD(int, func(int, string) bool) error { return Unsupported("/proc/PID/fd") }
func NameOf(*os.File) (string, error)          { return "", Unsupported("/proc/self/fd") }
func ReadOpenFile(int, int) ([]byte, error)    { return nil, Unsupported("/proc/PID/fd") }
func StatOpenFile(int, int) (FileStat, error)  { return FileStat{}, Unsupported("/proc/PID/fd") }
func Statx(string) (FileStat, error)           { return FileStat{}, Unsupported("statx") }
func TerminalDevice(uint64) (bool, error)      { return false, Unsupported("/proc/tty/drivers") }

type Activity struct{}

func NewActivity(int) *Activity             { return &Activity{} }
func (*Activity) Look([]int) (Doing, error) { return Doing{}, Unsupported("what a process does") }
func (*Activity) Processes() []int          { return nil }

type ProcList struct{}

func (*ProcList) Read() ([]ProcStat, error) { return nil, Unsupported("a list of processes") }
