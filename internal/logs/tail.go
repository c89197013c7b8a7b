package logs

import (
	"bytes"
	"io"
	"os"

	"github.com/daemonry/daemonry/internal/logs/layout"
)

// tailMax bounds how much of a file Tail reads: last words are for a message, not for an archive.
const tailMax = 64 << 10

// Tail returns the last n lines of the stream's log file, without their newlines; if the current file
// has fewer, the newest rotated one is asked too, unless it is compressed. Of more
// than 64 KiB a file only the last are looked at. What is still in the FIFO is not seen: Drain before.
func (s *Stream) Tail(n int) ([]string, error) {
	var path string
	if err := s.do(func() error { path = s.cfg.Path; return nil }); err != nil {
		return nil, err
	}
	if path == "" || n <= 0 {
		return nil, nil
	}
	lines, err := tailFile(path, n)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if len(lines) >= n {
		return lines, nil
	}
	rotated, err := layout.List(path)
	if err != nil || len(rotated) == 0 || rotated[len(rotated)-1].Compression != layout.None {
		return lines, err
	}
	older, err := tailFile(rotated[len(rotated)-1].Path, n-len(lines))
	if os.IsNotExist(err) { // removed or compressed in between
		err = nil
	}
	return append(older, lines...), err
}

func tailFile(path string, n int) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(0, size-tailMax)
	buf := make([]byte, size-from)
	if _, err := f.ReadAt(buf, from); err != nil && err != io.EOF {
		return nil, err
	}
	return lastLines(buf, n), nil
}

// lastLines returns the last n lines of buf; a last one without a newline counts.
func lastLines(buf []byte, n int) []string {
	buf = bytes.TrimSuffix(buf, []byte{'\n'})
	var lines []string
	for len(lines) < n && len(buf) > 0 {
		i := bytes.LastIndexByte(buf, '\n')
		lines = append(lines, string(buf[i+1:]))
		buf = buf[:max(i, 0)]
	}
	for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	return lines
}
