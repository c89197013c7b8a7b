package sys

// MakeFIFO makes the FIFO path with exactly the given permissions, whatever the umask is. A FIFO of
// ours that is there already is kept, with its permissions corrected; anything else under that name
// is an error. The directory must be one where nobody but us can make names.
func MakeFIFO(path string, mode uint32) error { return makeFIFO(path, mode) }

// OpenFIFOReader opens the FIFO path for reading, non-blocking and
// close-on-exec. It does not wait for a writer (fifo(7)). Symbolic links are not
// followed; what is not a FIFO is an error.
func OpenFIFOReader(path string) (int, error) { return openFIFOReader(path) }

// OpenFIFOBoth opens the FIFO path for reading and writing, blocking and close-on-exec: the end for
// a child's standard output. Because the child then holds a reader itself, the death of every other
// reader gives it neither SIGPIPE nor EPIPE. POSIX leaves O_RDWR on a FIFO undefined; Linux
// (fifo(7)), the BSDs and macOS define it this way.
func OpenFIFOBoth(path string) (int, error) { return openFIFOBoth(path) }

// OpenFIFOAgain is OpenFIFOBoth for the FIFO that fd is open for, which may have no name any more
// (proc(5), /proc/PID/fd).
func OpenFIFOAgain(fd int) (int, error) { return openFIFOAgain(fd) }

// PipeFill returns how many bytes wait in the pipe (FIONREAD).
func PipeFill(fd int) (int, error) { return pipeFill(fd) }

// PipeSize returns the capacity of the pipe in bytes (F_GETPIPE_SZ, Linux 2.6.35).
func PipeSize(fd int) (int, error) { return pipeSize(fd) }

// SetPipeSize sets the capacity of the pipe to at least n bytes and returns what it
// became (F_SETPIPE_SZ, Linux 2.6.35). EPERM: above /proc/sys/fs/pipe-max-size or the user's
// pipe-user-pages-soft (pipe(7)). EBUSY: more than n bytes wait in it.
func SetPipeSize(fd, n int) (int, error) { return setPipeSize(fd, n) }

// NewPipe returns a new pipe, both ends non-blocking and close-on-exec.
func NewPipe() (r, w int, err error) { return newPipe() }
