package notify

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/daemonry/daemonry/internal/sys"
)

// Connect returns a Client that keeps a connection to the receiver, for a process that will not
// reach the address any more because it changes its root (chroot(2)). Where nobody asked it is c.
// A receiver that binds its address anew, as a restarted manager may, does not hear it any more;
// systemd hands its socket on. The address of a vsock is reached from everywhere and is not kept.
//
// Close it after use.
func (c Client) Connect() (Client, error) {
	c.Socket = c.address()
	if c.Socket == "" {
		return c, nil
	}
	dst, err := parseAddress(c.Socket)
	if err != nil || dst.vsock {
		return c, err
	}
	if c.conn, _, err = dst.open(); err != nil {
		return Client{}, fmt.Errorf("notify %s: %w", c.Socket, err)
	}
	return c, nil
}

// Close closes what Connect has opened. Another Client has nothing to close.
func (c Client) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// Heard says whether somebody holds the socket that c would send to. No message is sent. It says no
// where nobody asked, and of an address that outlived its owner: there is no socket of that name,
// or only its file. Of a vsock it says yes, for only a message would tell.
//
// An error is one of the address, or says why that could not be found out.
func (c Client) Heard() (bool, error) {
	socket := c.address()
	if socket == "" {
		return false, nil
	}
	dst, err := parseAddress(socket)
	if err != nil || dst.vsock {
		return err == nil, err
	}
	conn, _, err := dst.open()
	switch {
	case err == nil:
		return true, conn.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, sys.ECONNREFUSED):
		return false, nil
	}
	return false, fmt.Errorf("notify %s: %w", socket, err)
}
