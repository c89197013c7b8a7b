package sys

// ReadKernelFile reads a file that the kernel makes as it is read, in /proc or of a control group:
// as os.ReadFile does, with fewer system calls.
func ReadKernelFile(path string) ([]byte, error) { return readWhole(path, nil) }
