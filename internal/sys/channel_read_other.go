//go:build !linux

package sys

func (c Channel) closeRead() error { return Unsupported("shutdown of a channel's receiving half") }

func (c Channel) unread() (bool, error) { return false, Unsupported("ioctl(SIOCOUTQ)") }
