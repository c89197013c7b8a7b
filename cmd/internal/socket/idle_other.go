//go:build !linux

package socket

import (
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Connections counts the connections to listening sockets. Linux only.
func Connections([]spec.Socket, []int) (int, error) {
	return 0, sys.Unsupported("counting connections")
}
