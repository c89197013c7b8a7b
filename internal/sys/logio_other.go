//go:build !unix

package sys

import "os"

func statFD(int) (FileState, error)           { return FileState{}, Unsupported("fstat") }
func statPath(string) (FileState, error)      { return FileState{}, Unsupported("lstat") }
func fdRead(int, []byte) (int, error)         { return 0, Unsupported("read") }
func fdWrite(int, []byte) (int, error)        { return 0, Unsupported("write") }
func setNonblock(int, bool) error             { return Unsupported("fcntl") }
func mapShared(*os.File, int) ([]byte, error) { return nil, Unsupported("mmap") }
func unmap([]byte) error                      { return Unsupported("munmap") }
