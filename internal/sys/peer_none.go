//go:build !linux && !darwin && !freebsd

package sys

// peerOf is not there.
//
// The systems that are left have calls of their own for it: getpeereid(3) of the BSDs, which tells
// no supplementary groups, and getpeerucred(3C) of illumos. Package x/sys has neither of them.
func peerOf(int) (Peer, error) {
	return Peer{}, Unsupported("credentials of a socket's peer")
}
