//go:build darwin || freebsd

package sys

import (
	"golang.org/x/sys/unix"
)

// solLocal is SOL_LOCAL of <sys/un.h>.
const solLocal = 0

func peerOf(fd int) (Peer, error) {
	c, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return Peer{}, wrap("getsockopt", err)
	}
	p := Peer{UID: int(c.Uid), GID: -1}
	for i := range min(int(c.Ngroups), len(c.Groups)) {
		p.Groups = append(p.Groups, int(c.Groups[i]))
	}
	if len(p.Groups) > 0 {
		p.GID = p.Groups[0] // the effective group comes first
	}
	return p, nil
}
