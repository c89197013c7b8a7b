//go:build !linux

package sys

func setThreadFSUser(int, int) error { return Unsupported("setfsuid") }
