//go:build !unix

package sys

func newChannel() (Channel, Channel, error)         { return -1, -1, Unsupported("socketpair") }
func (c Channel) send([]byte, []int) error          { return Unsupported("sendmsg") }
func (c Channel) recv([]byte) (int, []int, error)   { return 0, nil, Unsupported("recvmsg") }
func (c Channel) peek([]byte) (int, error)          { return 0, Unsupported("recvfrom") }
func (c Channel) peekFile([]byte) (int, int, error) { return 0, -1, Unsupported("recvmsg") }
func (c Channel) unnamed() bool                     { return false }
func closeFD(int) error                             { return Unsupported("close") }
