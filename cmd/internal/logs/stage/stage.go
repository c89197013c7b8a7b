// Package stage carries output from a FIFO into a file so that the death of the carrying process at
// any instruction loses nothing and doubles nothing.
//
// What a process has read from a FIFO and not yet written is in its memory alone, and SIGKILL takes
// that memory away. A Slot is memory that it does not take away: a small file, mapped MAP_SHARED,
// into which the kernel copies the FIFO's bytes directly. Beside the bytes stand the few numbers
// that say how far the copy has got, each stored before the step that it announces:
//
//	idle ── Fetch: the witness, the number of bytes asked for ──► reading
//	reading ── read(2) took them out of the FIFO ──► have
//	have ── Begin: which file, how long it is now, what will be appended ──► writing
//	writing ── Done: it is appended ──► have, or idle when nothing is left
//
// The process may die between any two instructions. Who loads the slot then finds it in one of
// these states:
//
//   - have: the bytes are in the slot and nowhere else.
//   - writing: the file's length minus the length it had says how many bytes were
//     appended; the kernel makes a file longer only after it has copied the bytes in.
//   - reading: either the read took place or it did not; the witness tells which. The first byte
//     that waits in the FIFO is known before (tee(2) copies it without taking it), and its
//     complement stands where the read will put it. If it stands there still, nothing was read.
//     Otherwise everything was: exactly as many bytes are asked for as wait in the pipe, so read(2)
//     never sleeps, copies them all under the pipe's mutex, and a fatal signal is acted upon only
//     when it returns.
//
// The slot survives the process, not the machine: after a loss of power the FIFO is gone as well.
package stage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/daemonry/daemonry/internal/sys"
)

const (
	// InSize is how many bytes one Fetch can take. 128 KiB stay in a core's
	// second-level cache between the read and the write.
	InSize = 128 << 10
	// OutSize is how many formatted bytes one Begin can announce.
	OutSize = 256 << 10
	// OwnerMax is the longest owner's name in bytes.
	OwnerMax = 512

	headSize = 4096
	pageSize = 4096

	// magic holds the layout's version. A binary that changes the layout changes it, and must go on
	// to load the old one: the slot of a supervisor that was killed and upgraded is somebody's log.
	magic = "dmnrslt1"
)

// Phase is where in its circle a slot is.
type Phase uint32

// The phases; see the package comment.
const (
	Idle Phase = iota
	Reading
	Have
	Writing
)

// header is the slot's first page, in the machine's own byte order: it never leaves the machine.
type header struct {
	magic [8]byte
	// stored last: what is before it in program order is in the page when it is
	phase         atomic.Uint32
	input         uint32 // which of the owner's FIFOs
	inCap, outCap uint32 // the lengths of the two halves, fixed
	formatted     uint32 // the in half holds formatted bytes

	// bytes asked from the FIFO; bytes in the slot
	want, have uint32
	// bytes of them that are done; that are done once the announced write is
	pos, next uint32
	// bytes to append; they are in the out half, or, when same is set, in[pos:next] themselves
	out      uint32
	same     uint32
	dev, ino uint64 // the file appended to
	base     int64  // its length before
	when     int64  // time of the Fetch, Unix nanoseconds

	witnessLen uint32
	ownerLen   uint32
	witness    [16]byte
	owner      [OwnerMax]byte

	drop, told Drop // what was dropped; how much of it the injected notice tells
}

// Drop counts what could not be kept while the slot could not be written.
type Drop struct {
	Lines, Bytes int64
	First, Last  int64 // Unix nanoseconds; 0 when nothing was dropped
}

// forget takes what has been told out of d.
func (d *Drop) forget(told *Drop) {
	d.Lines -= told.Lines
	d.Bytes -= told.Bytes
	if d.Bytes == 0 {
		*d = Drop{}
	}
	*told = Drop{}
}

// Slot is one mapped stage file. It belongs to one goroutine.
type Slot struct {
	path   string // empty: in memory only
	mem    []byte
	h      *header
	peeked int // bytes at the start of the in half that equal the FIFO's head

	// crash, when set, is called before and after each step; tests end the process there.
	crash func(step string)
}

// Create makes the slot file path, which must not exist, and maps it.
func Create(path string) (*Slot, error) {
	s, err := create(path, InSize, OutSize)
	if err != nil {
		return nil, err
	}
	return s.born(), nil
}

func create(path string, inCap, outCap int) (*Slot, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping stays; thousands of slots must not hold a descriptor each
	size := headSize + inCap + outCap
	// Written, not truncated to size: storing into a page that the file
	// system has no room for is SIGBUS, a failing write is an error.
	_, err = f.Write(make([]byte, size))
	var mem []byte
	if err == nil {
		mem, err = sys.MapShared(f, size)
	}
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	s := overlay(path, mem)
	s.h.inCap, s.h.outCap = uint32(inCap), uint32(outCap)
	// A read into a page that is not there can be cut short by a fatal signal; bring them all in.
	for i := 0; i < inCap; i += pageSize {
		s.in()[i] = 0
	}
	return s, nil
}

// born makes the slot valid for Load.
func (s *Slot) born() *Slot {
	// The phase is stored once more because it is the atomic store that keeps the compiler from
	// moving the others behind it.
	s.h.phase.Store(s.h.phase.Load())
	copy(s.h.magic[:], magic)
	return s
}

func overlay(path string, mem []byte) *Slot {
	// Nothing may keep h once mem is unmapped.
	return &Slot{path: path, mem: mem, h: sys.Overlay[header](mem)}
}

func (s *Slot) in() []byte {
	end := headSize + int(s.h.inCap)
	return s.mem[headSize:end:end]
}

// Out is where formatted bytes are put before Begin announces them.
func (s *Slot) Out() []byte { return s.mem[headSize+int(s.h.inCap):] }

// Phase returns the slot's phase.
func (s *Slot) Phase() Phase { return Phase(s.h.phase.Load()) }

// Owner returns whose bytes are in the slot and which of the owner's inputs they came from.
func (s *Slot) Owner() (id string, input int) {
	return string(s.h.owner[:s.h.ownerLen]), int(s.h.input)
}

// When is the time of the Fetch in Unix nanoseconds.
func (s *Slot) When() int64 { return s.h.when }

// Rest returns the fetched bytes that are not done yet.
func (s *Slot) Rest() []byte {
	if s.Phase() < Have {
		return nil
	}
	return s.in()[s.h.pos:s.h.have]
}

func (s *Slot) step(name string) {
	if s.crash != nil {
		s.crash(name)
	}
}

// Peek copies the first bytes that wait in the pipe fd, at most n, into the slot without taking
// them out, by way of the scratch pipe, and returns them; they are valid until the next call. The
// slot must be idle.
func (s *Slot) Peek(fd int, scratch *Scratch, n int) ([]byte, error) {
	s.peeked = 0
	n, err := sys.Tee(fd, scratch.w, min(n, InSize))
	if err != nil || n == 0 {
		return nil, err
	}
	got := 0
	for got < n {
		m, err := sys.ReadFD(scratch.r, s.in()[got:n])
		if err != nil || m == 0 {
			return nil, fmt.Errorf("scratch pipe gave %d of %d bytes: %w", got, n, err)
		}
		got += m
	}
	s.peeked = n
	return s.in()[:n], nil
}

// Fetch takes n bytes out of the pipe fd into the slot, which must be idle. No more than
// n ≤ InSize may wait to be asked for: the caller asks the pipe before. Without a
// Peek before it (a kernel without tee) the witness is a random pattern, which n bytes
// of output equal with a chance of 2^(-8n), at most 2^-128.
func (s *Slot) Fetch(owner string, input int, when int64, fd, n int) (int, error) {
	h, in := s.h, s.in()
	if s.peeked > 0 {
		h.witness[0] = ^in[0]
		h.witnessLen = 1
	} else {
		h.witnessLen = uint32(min(n, len(h.witness)))
		rand.Read(h.witness[:])
	}
	s.peeked = 0
	copy(in, h.witness[:h.witnessLen])
	h.ownerLen = uint32(copy(h.owner[:], owner))
	h.input, h.when, h.want = uint32(input), when, uint32(n)
	h.formatted, h.drop, h.told = 0, Drop{}, Drop{}
	s.step("before reading")
	h.phase.Store(uint32(Reading))
	s.step("before read")
	got, err := sys.ReadFD(fd, in[:n])
	s.step("after read")
	if err != nil || got == 0 {
		h.phase.Store(uint32(Idle))
		return 0, err
	}
	h.have, h.pos = uint32(got), 0
	h.phase.Store(uint32(Have))
	s.step("after have")
	return got, nil
}

// Inject puts bytes of our own (a notice for the log, formatted) into the slot, which must have
// nothing left. What is counted as dropped now is forgotten once p is written.
func (s *Slot) Inject(owner string, input int, when int64, p []byte) {
	h := s.h
	h.phase.Store(uint32(Idle))
	h.ownerLen = uint32(copy(h.owner[:], owner))
	h.input, h.when = uint32(input), when
	h.have, h.pos = uint32(copy(s.in(), p)), 0
	h.formatted, h.told = 1, h.drop
	h.phase.Store(uint32(Have))
}

// Begin announces that the first take bytes of Rest are about to be appended to the file at,
// as the first out bytes of Out, or, when out is Same, as they are.
func (s *Slot) Begin(take, out int, at sys.FileState) {
	h := s.h
	h.next = h.pos + uint32(take)
	h.same = 0
	if out == Same {
		h.same, out = 1, take
	}
	h.out = uint32(out)
	h.dev, h.ino, h.base = at.Dev, at.Ino, at.Size
	s.step("before writing")
	h.phase.Store(uint32(Writing))
	s.step("before write")
}

// Same as Begin's out means that the bytes are written as they came.
const Same = -1

// Piece returns what is to be appended and to which file, whose Size is the length it had before.
func (s *Slot) Piece() ([]byte, sys.FileState) {
	h := s.h
	at := sys.FileState{Dev: h.dev, Ino: h.ino, Size: h.base}
	if h.same != 0 {
		return s.in()[h.pos:h.next], at
	}
	return s.Out()[:h.out], at
}

// Announced returns how many bytes of Rest the announced piece stands for.
func (s *Slot) Announced() int { return int(s.h.next - s.h.pos) }

// Missing returns the part of the announced piece that is not in the file yet, judged by the length
// it has now. A file shorter than it was has been truncated by somebody: then all of it is missing.
func (s *Slot) Missing(now int64) []byte {
	p, at := s.Piece()
	written := now - at.Size
	if written < 0 {
		return p
	}
	return p[min(written, int64(len(p))):]
}

// Move announces another file for what Piece returns, because the one announced is gone.
func (s *Slot) Move(at sys.FileState) {
	// Not one store: by way of Have, which forgets the announcement, a process that dies in between
	// formats the piece anew.
	s.h.phase.Store(uint32(Have))
	s.h.dev, s.h.ino, s.h.base = at.Dev, at.Ino, at.Size
	s.h.phase.Store(uint32(Writing))
}

// Done says that the announced piece is in the file.
func (s *Slot) Done() {
	h := s.h
	s.step("after write")
	// Until phase is stored, the slot still says Writing, and pos must still belong to it: Piece of
	// unformatted bytes begins there. With pos == next the piece is empty and nothing is missing.
	if h.same != 0 {
		h.out = 0
	}
	if h.next == h.have {
		h.drop.forget(&h.told)
		h.phase.Store(uint32(Idle))
		s.step("after idle")
		return
	}
	h.pos = h.next
	h.phase.Store(uint32(Have))
	s.step("after done")
}

// Drop returns the slot's counters of what was dropped, to be read and added to in place.
func (s *Slot) Drop() *Drop { return &s.h.drop }

// Formatted says that Rest is formatted already and is to be written as it is.
func (s *Slot) Formatted() bool { return s.h.formatted != 0 }

// Split moves what cannot be written now into a slot of its own, no larger than it must be, in the
// file path, and leaves s idle. What Begin announced, if it did, moves with it as it is; rest is
// what else is to be appended, formatted. If the file cannot be made, the new slot is in memory,
// lost when the process dies, and the error says why.
func (s *Slot) Split(path string, rest []byte) (*Slot, error) {
	var piece []byte
	if s.Phase() == Writing {
		piece, _ = s.Piece()
	}
	size := max(len(piece)+len(rest), pageSize)
	size = (size + pageSize - 1) / pageSize * pageSize
	t, err := create(path, size, 0)
	if err != nil {
		t = overlay("", make([]byte, headSize+size))
		t.h.inCap = uint32(size)
	}
	h, from := t.h, s.h
	h.input, h.when, h.formatted = from.input, from.when, 1
	h.ownerLen, h.owner = from.ownerLen, from.owner
	h.next = uint32(copy(t.in(), piece))
	h.have = h.next + uint32(copy(t.in()[h.next:], rest))
	h.same, h.out = 1, h.next
	h.dev, h.ino, h.base = from.dev, from.ino, from.base
	phase := Have
	if len(piece) > 0 {
		phase = Writing
	}
	h.phase.Store(uint32(phase))
	t.born()
	s.step("after split")
	from.phase.Store(uint32(Idle)) // from here on Load finds only t; before, both: see SameInput
	return t, err
}

// SameInput says that a process died in the middle of Split: both slots hold the same output, and
// the formatted one counts.
func (s *Slot) SameInput(o *Slot) bool {
	a, b := s.h, o.h
	return a.when == b.when && a.input == b.input && a.owner == b.owner &&
		a.formatted != b.formatted
}

// Close unmaps the slot and leaves the file for whoever loads it.
func (s *Slot) Close() error {
	mem := s.mem
	s.mem, s.h = nil, nil
	if s.path == "" {
		return nil
	}
	return sys.Unmap(mem)
}

// Remove closes the slot and removes its file.
func (s *Slot) Remove() error {
	err := s.Close()
	if s.path == "" {
		return err
	}
	if rmErr := os.Remove(s.path); !errors.Is(rmErr, fs.ErrNotExist) { // with its directory, say
		err = errors.Join(err, rmErr)
	}
	return err
}

// Scratch is the pipe by way of which Peek looks into another.
type Scratch struct{ r, w int }

// NewScratch makes a scratch pipe.
func NewScratch() (*Scratch, error) {
	r, w, err := sys.NewPipe()
	if err != nil {
		return nil, err
	}
	return &Scratch{r, w}, nil
}

// Grow lets Peek see up to n bytes at a time. An ordinary user's share of pipe memory may be used
// up: then it sees less.
func (s *Scratch) Grow(n int) {
	if have, err := sys.PipeSize(s.w); err == nil && have < n {
		sys.SetPipeSize(s.w, n)
	}
}

// Close closes both ends.
func (s *Scratch) Close() {
	sys.CloseFD(s.r)
	sys.CloseFD(s.w)
}
