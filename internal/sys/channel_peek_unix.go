//go:build unix && !linux

package sys

func (c Channel) peekFile(p []byte) (int, int, error) {
	n, err := c.peek(p)
	if err == nil {
		err = Unsupported("recvmsg(MSG_PEEK) of descriptors")
	}
	return n, -1, err
}
