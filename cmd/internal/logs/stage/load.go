package stage

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/daemonry/daemonry/internal/sys"
)

// Load maps a slot that an earlier process left and completes its reading phase by the witness. A
// slot that the process did not live to finish making is an error that wraps fs.ErrNotExist.
func Load(path string) (_ *Slot, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("stage file %s: %w", path, err)
		}
	}()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var m [len(magic)]byte
	if n, err := f.ReadAt(m[:], 0); err != nil && err != io.EOF {
		return nil, err
	} else if n < len(m) || m == [len(magic)]byte{} {
		return nil, fmt.Errorf("never used: %w", fs.ErrNotExist)
	}
	if string(m[:]) != magic {
		return nil, fmt.Errorf("unknown layout %q", m[:])
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < headSize || st.Size() > headSize+(InSize+OutSize)*64 {
		return nil, fmt.Errorf("%d bytes long", st.Size())
	}
	mem, err := sys.MapShared(f, int(st.Size()))
	if err != nil {
		return nil, err
	}
	s := overlay(path, mem)
	if err := s.check(); err != nil {
		sys.Unmap(mem)
		return nil, err
	}
	if s.Phase() == Reading {
		s.judge()
	}
	return s, nil
}

// check refuses a header whose numbers would lead outside the slot.
func (s *Slot) check() error {
	h := s.h
	bad := int64(len(s.mem)) != headSize+int64(h.inCap)+int64(h.outCap) || h.want > h.inCap ||
		h.have > h.inCap || h.ownerLen > OwnerMax || h.witnessLen > uint32(len(h.witness))
	switch s.Phase() {
	case Idle, Reading:
	case Have:
		bad = bad || h.pos > h.have
	case Writing:
		bad = bad || h.pos > h.next || h.next > h.have || h.out > h.outCap && h.same == 0
	default:
		bad = true
	}
	if bad {
		return fmt.Errorf("inconsistent header")
	}
	return nil
}

// judge decides by the witness whether the read that was announced took place.
func (s *Slot) judge() {
	h := s.h
	w := h.witness[:h.witnessLen]
	if bytes.Equal(s.in()[:len(w)], w) {
		h.phase.Store(uint32(Idle))
		return
	}
	h.have, h.pos = h.want, 0
	h.phase.Store(uint32(Have))
}
