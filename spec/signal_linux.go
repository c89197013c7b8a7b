package spec

import (
	"strconv"
	"syscall"
)

func systemSignal(s Signal) (syscall.Signal, bool) {
	if s == "PWR" {
		return syscall.SIGPWR, true
	}
	n, ok := realTime(s)
	return syscall.Signal(n), ok
}

func systemSignalName(n syscall.Signal) Signal {
	if n == syscall.SIGPWR {
		return "PWR"
	}
	if n >= linuxRTMin && n <= linuxRTMax {
		name, _ := signalOfNumber(int(n))
		return name
	}
	return Signal(strconv.Itoa(int(n)))
}
