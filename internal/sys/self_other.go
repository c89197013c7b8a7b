//go:build !linux

package sys

import "os"

func self() (string, error) { return os.Executable() }

func firstThread() bool { return false }
