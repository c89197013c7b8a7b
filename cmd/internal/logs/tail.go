package logs

import (
	"errors"
	"io/fs"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/internal/lastwords"
)

// tailMax bounds how much of a file Tail reads: last words are for a message, not for an archive.
const tailMax = 64 << 10

// Tail returns the last n lines that the service has printed, without their newlines and without
// what Config.Format put around them; if standard error has a file of its own with anything in it,
// the last n of that one. If the current file has fewer, the newest rotated one is asked too,
// unless it is compressed. Only the last 64 KiB of a file are looked at. What is still in the FIFO
// is not seen: Drain before.
func (s *Stream) Tail(n int) ([]string, error) {
	var cfg *Config
	if err := s.do(func() error { cfg = s.cfg; return nil }); err != nil {
		return nil, err
	}
	for _, path := range []string{cfg.ErrPath, cfg.Path} {
		if path == "" {
			continue
		}
		lines, err := tailLog(path, n)
		if err != nil {
			return nil, err
		}
		if len(lines) > 0 {
			for i, l := range lines {
				lines[i] = string(cfg.Format.Parse([]byte(l)).Text)
			}
			return lines, nil
		}
	}
	return nil, nil
}

func tailLog(path string, n int) ([]string, error) {
	lines, err := tailFile(path, n)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(lines) >= n {
		return lines, err
	}
	rotated, err := layout.List(path)
	if err != nil || len(rotated) == 0 || rotated[len(rotated)-1].Compression != layout.None {
		return lines, err
	}
	older, err := tailFile(rotated[len(rotated)-1].Path, n-len(lines))
	if errors.Is(err, fs.ErrNotExist) { // removed or compressed in between
		err = nil
	}
	return append(older, lines...), err
}

func tailFile(path string, n int) ([]string, error) {
	f, err := layout.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tail, err := lastwords.Read(f, tailMax)
	return lastwords.Lines(tail, n), err
}
