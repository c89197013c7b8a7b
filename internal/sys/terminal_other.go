//go:build !unix

package sys

func isTerminal(int) bool { return false }
