//go:build !linux

package sys

func setThreadFSUser(int, int) (func(), error) { return nil, Unsupported("setfsuid") }
