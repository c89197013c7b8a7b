//go:build !unix || aix

package sys

import (
	"fmt"
	"io/fs"
	"os"
	"time"
)

func NeedsUnix(what string) error                 { return Unsupported(what) }
func NewChannel() (Channel, Channel, error)       { return -1, -1, Unsupported("socketpair") }
func (c Channel) Send([]byte, ...int) error       { return Unsupported("sendmsg") }
func (c Channel) Recv([]byte) (int, []int, error) { return 0, nil, Unsupported("recvmsg") }
func (c Channel) Peek([]byte) (int, error)        { return 0, Unsupported("recvfrom") }
func CloseFD(int) error                           { return Unsupported("close") }
func Monotonic() (time.Duration, error)           { return 0, Unsupported("clock_gettime") }
func SealDescriptors(int) error                   { return Unsupported("close_range") }
func Dup2(int, int) error                         { return Unsupported("dup2") }
func DupAbove(int, int) (int, error)              { return -1, Unsupported("fcntl") }
func SetCloseOnExec(int, bool) error              { return Unsupported("fcntl") }
func DescriptorOpen(int) bool                     { return false }
func TakesWords(int) bool                         { return false }
func HasTerminal() bool                           { return false }

const O_NONBLOCK = 0

func SetNonblock(int, bool) error            { return Unsupported("fcntl") }
func ReadFD(int, []byte) (int, error)        { return 0, Unsupported("read") }
func SealedFile(string, []byte) (int, error) { return -1, Unsupported("a file without a name") }
func StatFD(int) (FileState, error)          { return FileState{}, Unsupported("fstat") }
func kill(int, Signal) error                 { return Unsupported("kill") }
func TryFlock(*os.File) error                { return Unsupported("flock") }
func LockedByOther(*os.File) (bool, error)   { return false, Unsupported("fcntl") }

func OpenTrusted(path string, _ TrustedOpen) (*os.File, bool, error) {
	return nil, false, &fs.PathError{Op: "open", Path: path, Err: Unsupported("file owner")}
}

func OpenDir(string) (*os.File, error) { return nil, Unsupported("open directory") }
func MayEnter(*os.File) error          { return Unsupported("open directory") }

func FileIDOf(fs.FileInfo) FileID { return FileID{} }

func FileOwner(fs.FileInfo) (Owner, uint64, error) { return Owner{}, 0, Unsupported("file owner") }

func RemoveTrusted(path string, _ fs.FileInfo) error {
	return &fs.PathError{Op: "remove", Path: path, Err: Unsupported("file owner")}
}

// Linux's numbers: no process is found that a signal could be sent to, and no call of ours fails
// with these.
const (
	SIGHUP, SIGUSR1  = Signal(1), Signal(10)
	SIGSTOP, SIGCONT = Signal(19), Signal(18)

	ESOCKTNOSUPPORT, ETOOMANYREFS = ErrorNumber(94), ErrorNumber(109)
)

func NewSession() error              { return Unsupported("setsid") }
func OpenUnixDatagram() (int, error) { return -1, Unsupported("unix datagram socket") }

func Connect(int, Address) error                       { return Unsupported("connect") }
func SocketConnected(int) (bool, error)                { return false, Unsupported("getsockopt") }
func ShutdownWrite(int) error                          { return Unsupported("shutdown") }
func SendMsg(int, []byte, []int, *Sender) (int, error) { return 0, Unsupported("sendmsg") }
func RecvMsg(int, []byte) (Packet, error)              { return Packet{}, Unsupported("recvmsg") }
func KindOf(int) (SocketKind, error)                   { return SocketKind{}, Unsupported("fstat") }
func SignalName(sig Signal) string                     { return fmt.Sprintf("signal %d", int(sig)) }
