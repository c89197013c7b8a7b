//go:build !unix

package proctree

import "syscall"

// Signals that this platform has not: no process is found that they could be sent to.
const sigStop, sigCont = syscall.Signal(-1), syscall.Signal(-2)
