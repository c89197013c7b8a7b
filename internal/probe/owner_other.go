//go:build !linux

package probe

import (
	"net"
	"net/netip"
)

// Without /proc it is not known who holds a socket: every answer counts.
func judgeTCP(netip.AddrPort, Env) error { return nil }

func judgeUnix(*net.UnixConn, string, Env) error { return nil }
