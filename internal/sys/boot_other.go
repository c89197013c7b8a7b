//go:build !linux && !darwin

package sys

func bootID() (string, error) { return "", Unsupported("boot id") }
