//go:build !linux

package sys

func (a *Activity) look([]int) (Doing, error) { return Doing{}, Unsupported("what a process does") }
