package spawn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/daemonry/daemonry/internal/sys"
)

// The protocol between the halves. Both ends are the same binary, so there is
// one version. Over a Channel, which is descriptor 0 of the stage:
//
//	parent                          stage (Start)         watcher (Detach)
//	  orders, before the fork ─────►
//	                  ◄───────────── at …                  at …
//	                  ◄───────────── failed                failed
//	                  ◄───────────── executing              started
//	                  ◄───────────── end of file: executed
//	                                                       message …  (the target's, with Birth)
//	                                                       exited
//	                                                       left: why, if something cannot be ended
//	                                                       unheard: why, if a message is not one
//	  release, or kill ──────────────────────────────────►
//	                  ◄─────────────────────────────────── end of file: nothing of ours is left
//
// The stage that watch.go calls a watcher has a lesser brother between a process and its successor
// (intermediate.go), which speaks as it does, is told by a message that the successor is held, and
// takes a release for the only order.
//
// A frame is a kind byte, a length of four bytes, little-endian, and that many bytes.

type frameKind byte

const (
	// a step and its object, which may take as long as a file system takes to answer
	frameAt        frameKind = 'a'
	frameExecuting frameKind = 'e'
	frameFailed    frameKind = 'f'
	frameStarted   frameKind = 'p'
	frameMessage   frameKind = 'm'
	frameKnown     frameKind = 'h' // to a successor: the one whose place it is to take knows of it
	frameExited    frameKind = 'x'
	frameLeft      frameKind = 'l'
	frameUnheard   frameKind = 'u' // why a message of the target cannot be received; it is ended
	frameRelease   frameKind = 'r'
	frameKill      frameKind = 'k'
	frameHeader              = 5
	maxFrame                 = 64 << 20 // far more than anybody says; rubbish must not be read
)

func sendFrame(c sys.Channel, kind frameKind, payload []byte) error {
	if len(payload) > maxFrame {
		return tooLong(uint64(len(payload)))
	}
	b := make([]byte, frameHeader, frameHeader+len(payload))
	b[0] = byte(kind)
	binary.LittleEndian.PutUint32(b[1:], uint32(len(payload)))
	return c.Send(append(b, payload...))
}

// sendNumber sends a frame with a number in it.
func sendNumber(c sys.Channel, kind frameKind, n uint64) error {
	var e encoder
	e.uint(n)
	return sendFrame(c, kind, e.b)
}

// recvFrame reads one frame, and closes the descriptors that came with it: none belong there. At
// the end of the stream it returns io.EOF.
func recvFrame(c sys.Channel) (frameKind, []byte, error) {
	var head [frameHeader]byte
	files, err := recvFull(c, head[:])
	closeAll(files)
	if err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, tooLong(uint64(n))
	}
	payload := make([]byte, n)
	files, err = recvFull(c, payload)
	closeAll(files)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return frameKind(head[0]), payload, err
}

func tooLong(n uint64) error {
	return fmt.Errorf("a message of %d bytes, more than %d", n, maxFrame)
}

// isEnd says that a channel has come to its end: nobody has the other one any more.
func isEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF || isGone(err) }

// recvPast receives frames until one is of another kind than that; f gets what was in those.
func recvPast(c sys.Channel, kind frameKind, f func(payload []byte)) (frameKind, []byte, error) {
	for {
		got, payload, err := recvFrame(c)
		if err != nil || got != kind {
			return got, payload, err
		}
		f(payload)
	}
}

func recvFull(c sys.Channel, p []byte) (files []int, err error) {
	for done := 0; done < len(p); {
		n, fds, err := c.Recv(p[done:])
		files = append(files, fds...)
		done += n
		if err == io.EOF && done > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return files, err
		}
	}
	return files, nil
}

// encoder appends values; decoder takes them off in the same order. A
// hand-written pair, because the root package must stay light and encoding/json
// would change strings that are not UTF-8.
type encoder struct{ b []byte }

func (e *encoder) uint(v uint64)   { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)     { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) bytes(v []byte)  { e.uint(uint64(len(v))); e.b = append(e.b, v...) }
func (e *encoder) string(v string) { e.uint(uint64(len(v))); e.b = append(e.b, v...) }
func (e *encoder) bool(v bool)     { e.optional(v) }

func (e *encoder) optional(present bool) bool {
	if present {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
	return present
}

func (e *encoder) strings(v []string) {
	e.uint(uint64(len(v)))
	for _, s := range v {
		e.string(s)
	}
}

type decoder struct {
	b   []byte
	err error
}

var errTruncated = errors.New("truncated or malformed message")

func (d *decoder) fail() { d.b, d.err = nil, errTruncated }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) bool() bool {
	if len(d.b) == 0 || d.b[0] > 1 {
		d.fail()
		return false
	}
	v := d.b[0] == 1
	d.b = d.b[1:]
	return v
}

// count reads the length of a list whose elements take at least one byte each,
// so that a forged length cannot make us allocate more than the message's size.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) strings() []string {
	n := d.count()
	v := make([]string, 0, n)
	for range n {
		v = append(v, d.string())
	}
	return v
}

func encodeError(err error) []byte {
	se, ok := errors.AsType[*StepError](err)
	if !ok {
		se = &StepError{Step: StepReceive, Err: err}
	}
	errno, _ := se.Err.(sys.ErrorNumber)
	var e encoder
	e.uint(uint64(se.Step))
	e.string(se.Object)
	e.uint(uint64(errno))
	e.string(se.Err.Error())
	return e.b
}

func decodeError(b []byte) error {
	d := decoder{b: b}
	se := &StepError{Step: Step(d.uint()), Object: d.string()}
	errno, text := sys.ErrorNumber(d.uint()), d.string()
	if d.err != nil {
		return &StepError{Step: StepReceive, Err: d.err}
	}
	if se.Err = errors.New(text); errno != 0 {
		se.Err = errno
	}
	return se
}

// sayAt sends where a start is. Whether somebody is there to hear it is found out by the next
// frame.
func sayAt(c sys.Channel, step Step, object string) {
	var e encoder
	e.uint(uint64(step))
	e.string(object)
	_ = sendFrame(c, frameAt, e.b)
}

func decodeAt(b []byte) (step Step, object string) {
	d := decoder{b: b}
	return Step(d.uint()), d.string()
}
