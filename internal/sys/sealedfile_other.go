//go:build !unix

package sys

func sealedFile(string, []byte) (int, error) { return -1, Unsupported("a file without a name") }
func checkSealed(int) error                  { return Unsupported("a file without a name") }
func readSealed(int) ([]byte, error)         { return nil, Unsupported("a file without a name") }
func inode(int) (uint64, error)              { return 0, Unsupported("fstat") }
