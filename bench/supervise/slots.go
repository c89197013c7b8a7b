//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"os"
	"time"
)

// slots is the file into which the services write: the struct slot of service.c for each.
type slots struct {
	file *os.File
	n    int
}

const slotSize = 16

func makeSlots(name string, n int) (slots, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return slots{}, err
	}
	// A service maps whole pages of it.
	return slots{f, n}, f.Truncate(int64((n*slotSize/4096 + 1) * 4096))
}

// read returns the process that started last as service i, 0 if none did, and when, on the
// monotonic clock.
func (s slots) read(i int) (pid int, started time.Duration, err error) {
	var b [slotSize]byte
	_, err = s.file.ReadAt(b[:], int64(i*slotSize))
	return int(binary.NativeEndian.Uint64(b[:])),
		time.Duration(binary.NativeEndian.Uint64(b[8:])), err
}

// up counts the services that have been started, from the first to the first that was not, given
// that so many had.
func (s slots) up(had int) (int, error) {
	for ; had < s.n; had++ {
		if pid, _, err := s.read(had); pid == 0 || err != nil {
			return had, err
		}
	}
	return had, nil
}

// pids are those of all services that have started.
func (s slots) pids() (map[int]bool, error) {
	list := map[int]bool{}
	for i := range s.n {
		pid, _, err := s.read(i)
		if err != nil {
			return nil, err
		}
		if pid != 0 {
			list[pid] = true
		}
	}
	return list, nil
}

// lastStart says when the last of all started.
func (s slots) lastStart() (last time.Duration, err error) {
	for i := range s.n {
		_, started, err := s.read(i)
		if err != nil {
			return 0, err
		}
		last = max(last, started)
	}
	if last == 0 {
		return 0, errors.New("no service has said when it started")
	}
	return last, nil
}

func (s slots) remove() error { return errors.Join(s.file.Close(), os.Remove(s.file.Name())) }
