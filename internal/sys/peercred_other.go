//go:build !linux && !darwin && !freebsd

package sys

func peerOf(int) (Peer, error) { return Peer{}, Unsupported("credentials of a socket's peer") }
