package sys

// SealedFile makes a nameless, close-on-exec file with that content, to be passed to another
// process that reads it with ReadSealed. Nobody else has it, and what a process relays of
// somebody's bytes is never one.
//
// On Linux it is in memory and sealed (memfd_create, 3.17). Where that is missing or refused it is
// a file of mode 0600 without a name in the temporary directory, and where no such file can be
// written, be it for a limit on the size of files, a pipe: that holds at most a mebibyte.
func SealedFile(name string, content []byte) (fd int, err error) { return sealedFile(name, content) }

// CheckSealed says why the descriptor is not one that SealedFile has made, in a process of this
// user or of root.
func CheckSealed(fd int) error { return checkSealed(fd) }

// ReadSealed returns the content, once, after CheckSealed.
func ReadSealed(fd int) ([]byte, error) { return readSealed(fd) }

// Inode returns the number by which two descriptors of one open socket, pipe or file are known to
// be of the same.
func Inode(fd int) (uint64, error) { return inode(fd) }
