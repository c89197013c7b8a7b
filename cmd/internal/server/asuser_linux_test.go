package server

import (
	"os"
	"os/exec"
	"syscall"
)

// asNobody makes root's child an ordinary user; others' is one already.
func asNobody(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
		}
	}
}
