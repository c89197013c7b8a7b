//go:build !linux

package sys

func tee(int, int, int) (int, error) { return 0, Unsupported("tee") }
