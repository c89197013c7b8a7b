//go:build unix && !aix && !linux

package spec

import (
	"strconv"
	"syscall"
)

func systemSignal(Signal) (syscall.Signal, bool) { return 0, false }

func systemSignalName(n syscall.Signal) Signal { return Signal(strconv.Itoa(int(n))) }
