package notify

import (
	"errors"
	"fmt"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// OpenPipe takes over the descriptor on which a manager waits for a newline: the
// number in s6's notification-fd, N in OpenRC's notify=fd:N and in dinit's
// ready-notification = pipefd:N, which a program learns from an option of its
// own. The result is for Client.Pipe. It is close-on-exec, so that no child holds
// the pipe open.
//
// The descriptor must be a pipe or a socket; what else has that number, most
// likely a file of the program itself, is refused and left alone. Standard input,
// output or error given as the descriptor is replaced with /dev/null, so that its
// number is not free for the next file that is opened.
func OpenPipe(fd int) (*os.File, error) {
	kind, err := sys.KindOf(fd)
	if err != nil {
		return nil, fmt.Errorf("notify descriptor %d: %w", fd, err)
	}
	if kind.Mode != os.ModeNamedPipe && kind.Mode != os.ModeSocket {
		return nil, fmt.Errorf("notify descriptor %d: neither a pipe nor a socket", fd)
	}
	if fd <= 2 {
		fd, err = replaceStandard(fd)
	} else {
		err = sys.SetCloseOnExec(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("notify descriptor %d: %w", fd, err)
	}
	return os.NewFile(uintptr(fd), "notify"), nil
}

// replaceStandard moves one of the descriptors 0, 1, 2 to a higher number and
// puts /dev/null in its place.
func replaceStandard(fd int) (moved int, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fd, err
	}
	defer null.Close()
	if moved, err = sys.DupAbove(fd, 3); err != nil {
		return fd, err
	}
	if err := sys.Dup2(int(null.Fd()), fd); err != nil {
		return fd, errors.Join(err, sys.CloseFD(moved))
	}
	return moved, nil
}

// tellPipe writes the newline and closes; told before, it does nothing.
func tellPipe(pipe *os.File) (bool, error) {
	_, err := pipe.WriteString("\n")
	if errors.Is(err, os.ErrClosed) {
		return false, nil
	}
	if err = errors.Join(err, pipe.Close()); err != nil {
		return false, fmt.Errorf("notify descriptor: %w", err)
	}
	return true, nil
}
