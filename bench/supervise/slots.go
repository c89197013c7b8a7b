//go:build linux

package main

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// slots is the memory that the services share with us: the struct slot of service.c for each.
type slots struct {
	mem []byte
	n   int
}

const slotSize = 16

func (s slots) word(i, offset int) *atomic.Int64 {
	return (*atomic.Int64)(unsafe.Pointer(&s.mem[i*slotSize+offset])) // page aligned, so each word is
}

// pid is that of the process that started last as service i, 0 if none did.
func (s slots) pid(i int) int { return int(s.word(i, 0).Load()) }

// started says when that was, on the monotonic clock. It is written before the pid.
func (s slots) started(i int) time.Duration { return time.Duration(s.word(i, 8).Load()) }

// up says how many services from the first on have been started, given that so many had.
func (s slots) up(had int) int {
	for had < s.n && s.pid(had) != 0 {
		had++
	}
	return had
}

func (s slots) count() (n int) {
	for i := range s.n {
		if s.pid(i) != 0 {
			n++
		}
	}
	return n
}

// lastStart says when the last of all started.
func (s slots) lastStart() (last time.Duration, err error) {
	for i := range s.n {
		last = max(last, s.started(i))
	}
	if last == 0 {
		return 0, errors.New("no service has said when it started")
	}
	return last, nil
}

func (s slots) owns(pid int) bool {
	for i := range s.n {
		if s.pid(i) == pid {
			return true
		}
	}
	return false
}

func (s slots) unmap() error { return syscall.Munmap(s.mem) }
