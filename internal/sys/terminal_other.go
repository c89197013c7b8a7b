//go:build !unix

package sys

func isTerminal(int) bool { return false }

func hasTerminal() bool { return false }
