//go:build !linux

package sys

import (
	"os"
	"time"
)

func lockForLife(*os.File) error           { return Unsupported("fcntl(F_OFD_SETLK)") }
func lockForStart(*os.File) error          { return Unsupported("fcntl(F_OFD_SETLK)") }
func writeLocked(f *os.File) (bool, error) { return lockedByOther(f) }
func lockers(*os.File) []Locker            { return nil }
func holdsLock(int, *os.File) bool         { return false }
func openUnlinked(string, int) []*os.File  { return nil }
func closeInherited(*os.File)              {}

func changedAt(*os.File) (time.Time, error) { return time.Time{}, Unsupported("st_ctime") }
