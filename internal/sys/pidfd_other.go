//go:build !linux

package sys

import (
	"context"
	"os"
	"syscall"
)

func pidfdOpen(int) (*os.File, error)                { return nil, Unsupported("pidfd_open") }
func pidfdFile(int) (*os.File, error)                { return nil, Unsupported("pidfd_open") }
func pidfdSendSignal(*os.File, syscall.Signal) error { return Unsupported("pidfd_send_signal") }
func pidfdExited(*os.File) (bool, error)             { return false, Unsupported("pidfd") }
func pidfdWait(context.Context, *os.File) error      { return Unsupported("pidfd") }
func pidfdID(*os.File) (uint64, error)               { return 0, Unsupported("pidfs") }
func pidfdExitStatus(*os.File) (s syscall.WaitStatus, known bool, err error) {
	return s, false, Unsupported("ioctl PIDFD_GET_INFO")
}
