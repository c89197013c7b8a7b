package sys

import (
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"
)

// page is what the kernel makes of most files in /proc at a time. It ends a piece before an entry
// that does not fit any more (seq_read_iter in fs/seq_file.c), so one that is not half full is the
// last.
const page = 4096

// readWhole reads a file of /proc to its end, into buf if that is large enough. It makes three
// system calls where os.ReadFile makes ten, which try whether the file can be polled: "status"
// reads thousands.
func readWhole(path string, buf []byte) ([]byte, error) {
	fd, err := retry1(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) // read only: an error of close loses nothing
	data := slices.Grow(buf[:0], page)
	for {
		data = slices.Grow(data, page)
		n, err := retry1(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		data = data[:len(data)+n]
		if n < page/2 {
			return data, nil
		}
	}
}
