//go:build !unix

package sys

import "os"

func tryFlock(*os.File) error              { return Unsupported("flock") }
func flockFree(*os.File) (bool, error)     { return false, Unsupported("flock") }
func tryOFDLock(*os.File) error            { return Unsupported("fcntl") }
func lockedByOther(*os.File) (bool, error) { return false, Unsupported("fcntl") }
