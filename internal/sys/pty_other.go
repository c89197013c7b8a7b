//go:build !linux

package sys

import "os"

func openTerminal() (master, slave *os.File, err error) {
	return nil, nil, Unsupported("open a pseudoterminal")
}
