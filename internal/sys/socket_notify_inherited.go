package sys

import "os"

// InheritNotify is ListenNotify for the socket that an earlier image of this process has opened
// under that name, with the messages that wait in it.
func InheritNotify(fd int, name string) (*NotifySocket, error) {
	if err := SetCloseOnExec(fd, true); err != nil {
		return nil, err
	}
	// Non-blocking as it has been from the beginning, so the runtime's poller waits.
	return &NotifySocket{file: os.NewFile(uintptr(fd), "notify socket"), Address: name}, nil
}
