package sys

import (
	"os"
	"sync"
	"testing"
)

// TestMemoryFileLosesNothing: standard output and standard error are one such file, and are written
// to at the same time.
func TestMemoryFileLosesNothing(t *testing.T) {
	f, err := MemoryFile("test")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const lines, line = 20000, "a line of some length\n"
	var done sync.WaitGroup
	for range 2 {
		fd, err := DupAbove(int(f.Fd()), 3)
		if err != nil {
			t.Fatal(err)
		}
		done.Go(func() {
			out := os.NewFile(uintptr(fd), "copy")
			defer out.Close()
			for range lines {
				if _, err := out.WriteString(line); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	if info, err := f.Stat(); err != nil || info.Size() != 2*lines*int64(len(line)) {
		t.Errorf("%d bytes of %d, %v", info.Size(), 2*lines*len(line), err)
	}
}
