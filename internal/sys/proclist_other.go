//go:build !linux

package sys

func (l *ProcList) read() ([]ProcStat, error) { return nil, Unsupported("a list of processes") }
