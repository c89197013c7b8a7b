package sys

// CloseRead ends the receiving half of c: what has arrived is still received, and then io.EOF,
// whoever holds the other end open. Only Linux keeps what has arrived (shutdown(2), SHUT_RD);
// elsewhere nothing is done and the error wraps errors.ErrUnsupported.
func (c Channel) CloseRead() error { return c.closeRead() }
