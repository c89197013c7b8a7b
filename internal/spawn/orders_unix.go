//go:build unix && !aix

package spawn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/daemonry/daemonry/internal/sys"
)

// find looks for orders in the channel. It takes nothing, and does not wait. The kind is "" if
// there are none. An error means that there are, and that they cannot be taken or are not to be
// obeyed. What follows then must not be the program's main: that would start the next process with
// the same, and so on without end.
func find(c sys.Channel, args []string) (kind string, err error) {
	if !c.Unnamed() {
		return "", nil
	}
	var greet [greetingLen]byte
	n, file, err := c.PeekFile(greet[:])
	if file >= 0 {
		defer sys.CloseFD(file)
	}
	kind = string(greet[:magicLen])
	switch kind {
	case stageMagic, watcherMagic, intermediateMagic:
		if len(args) != 1 || args[0] != stageName {
			return "", nil
		}
	case birthMagic, successorMagic: // whose arguments are the program's own
	default:
		return "", nil
	}
	socket, statErr := sys.StatFD(int(c))
	if n < greetingLen || statErr != nil ||
		binary.LittleEndian.Uint64(greet[magicLen:]) != socket.Ino {
		return "", nil
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		// the file can not be looked at here: take proves it
	case err != nil:
		return kind, err
	case !isOf(greet[:], kind, c, file):
		return "", nil
	}
	if err = obey(c); err == nil && file >= 0 {
		err = sys.CheckSealed(file)
	}
	return kind, err
}

// isOf says whether the greeting is that of a kind in this channel with this file.
func isOf(greet []byte, kind string, c sys.Channel, file int) bool {
	if file < 0 {
		return false
	}
	want, err := greeting(kind, c, file)
	return err == nil && bytes.Equal(greet, want)
}

// take takes orders of that kind out of the channel.
func take(kind string, c sys.Channel) (*orders, error) {
	greet := make([]byte, greetingLen)
	files, err := recvFull(c, greet)
	if err == nil && (len(files) == 0 || !isOf(greet, kind, c, files[0])) {
		err = errors.New("they did not come with the file that they are in")
	}
	if err == nil {
		err = sys.CheckSealed(files[0])
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	defer sys.CloseFD(files[0])
	payload, err := sys.ReadSealed(files[0])
	if err != nil {
		closeAll(files[1:])
		return nil, fmt.Errorf("read the file that they are in: %w", err)
	}
	return &orders{kind, payload, files[1:]}, nil
}
