//go:build !unix

package launch

import (
	"syscall"

	"github.com/daemonry/daemonry/internal/sys"
)

func commandAttr(*sys.Credential) *syscall.SysProcAttr { return nil }
