//go:build !linux

package sys

import "os"

func memoryFile(name string) (*os.File, error) { return unlinkedFile(name) }
