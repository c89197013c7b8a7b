package spawn

import (
	"encoding/binary"
	"errors"

	"github.com/daemonry/daemonry/internal/sys"
)

// Orders are what a process of ours is started with: a stage, or a newborn daemon, or a successor.
// All of it is in the channel before the process exists, as one message: a greeting, with it the
// descriptors, of which the first is the file that the orders are written in (sys.SealedFile). So
// nothing of it can fail, or be waited for, when there is a process that waits for it.
//
// Who reads strangers' bytes on descriptor 0 may have been given a socket pair for that (Node.js,
// socat, ksh93), and must not take them for orders. A greeting names the socket that it is in and
// the file that comes with it, by their inodes: what one relays who passes on bytes has no file,
// and what one relays who passes on bytes together with a descriptor, that of a client with what it
// sent first, names neither.
type orders struct {
	kind    string // a magic
	payload []byte
	files   []int
}

// greetingLen is the length of a greeting: the magic, and two inodes.
const (
	magicLen    = 16
	greetingLen = magicLen + 16
)

// The NUL in front keeps a line-based protocol of somebody else's from ever looking like it.
const (
	stageMagic        = "\x00daemonry-stage\x02"
	watcherMagic      = "\x00daemonry-watch\x02"
	intermediateMagic = "\x00daemonry-inter\x02"
	birthMagic        = "\x00daemonry-birth\x02"
	// the word of older programs, which may start this one
	successorMagic = "\x00daemonry-heir.\x02"

	// stageName is the whole argument vector of a stage, and what ps(1) shows while it lives.
	stageName = "daemonry-stage"
)

// greeting is that of a kind in this socket with this file.
func greeting(kind string, socket sys.Channel, file int) ([]byte, error) {
	b := []byte(kind)
	for _, fd := range []int{int(socket), file} {
		st, err := sys.StatFD(fd)
		if err != nil {
			return nil, err
		}
		b = binary.LittleEndian.AppendUint64(b, st.Ino)
	}
	return b, nil
}

// give makes a channel with o in it. The end that is to be somebody's descriptor 0 is theirs.
func (o *orders) give() (ours, theirs sys.Channel, err error) {
	ours, theirs, err = sys.NewChannel()
	if err != nil {
		return -1, -1, fail(StepStart, "", err)
	}
	if err := o.send(ours, theirs); err != nil {
		closeAll([]int{int(ours), int(theirs)})
		return -1, -1, fail(StepStart, "", err)
	}
	return ours, theirs, nil
}

func (o *orders) send(ours, theirs sys.Channel) error {
	file, err := sys.SealedFile("daemonry-orders", o.payload)
	if err != nil {
		return err
	}
	defer sys.CloseFD(file)
	greet, err := greeting(o.kind, theirs, file)
	if err != nil {
		return err
	}
	err = ours.Send(greet, append([]int{file}, o.files...)...)
	if errors.Is(err, sys.ETOOMANYREFS) {
		return &StepError{Step: StepStart, Err: errInFlight}
	}
	return err
}

// errInFlight is ETOOMANYREFS in words: whose limit it is can not be guessed from the kernel's.
var errInFlight error = inFlightError{}

type inFlightError struct{}

func (inFlightError) Error() string {
	return "too many descriptors of this user are in flight in sockets, more than the limit on " +
		"open files (unix(7))"
}

func (inFlightError) Unwrap() error { return sys.ETOOMANYREFS }
