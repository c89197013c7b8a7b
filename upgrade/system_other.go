//go:build !unix || aix

package upgrade

import "github.com/daemonry/daemonry/internal/sys"

func becomeWaiter() error { return sys.Unsupported("wait4") }
