//go:build !linux

package sys

func (c Channel) closeRead() error { return Unsupported("shutdown of a channel's receiving half") }
