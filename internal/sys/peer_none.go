//go:build !linux && !darwin && !freebsd

package sys

// peerOf: the systems that are left have calls of their own for it (getpeereid(3), getpeerucred(3C)),
// which tell neither the pid nor all groups, and x/sys has none of them.
func peerOf(int) (Peer, error) {
	return Peer{}, Unsupported("credentials of a socket's peer")
}
