//go:build !linux

package sys

func gainedPrivileges() bool { return false }
