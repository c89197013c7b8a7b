//go:build !unix

package probe

import "os/exec"

// ownGroup does nothing: there are no process groups; the command alone is killed.
func ownGroup(*exec.Cmd) {}
