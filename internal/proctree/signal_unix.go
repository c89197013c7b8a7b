//go:build unix

package proctree

import "syscall"

const sigStop, sigCont = syscall.SIGSTOP, syscall.SIGCONT
