package sys

import "os"

// MemoryFile makes a file without a name that lives as long as somebody has it open: in memory on
// Linux (memfd_create, 3.17), else an unlinked one in the temporary directory. name is for people
// who look.
func MemoryFile(name string) (*os.File, error) { return memoryFile(name) }

// unlinkedFile is what every Unix has in place of memfd_create.
func unlinkedFile(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
