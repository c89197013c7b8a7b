package logs

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/internal/sys"
)

// compress replaces the file at path, which nobody writes any more, by a compressed one. Readers of
// the old one go on reading it. At no moment is there less than one complete copy on the disk.
func compress(path string, how layout.Compression) (err error) {
	in, err := layout.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	fi, err := in.Stat()
	if err != nil {
		return err
	}
	owner, _, err := sys.FileOwner(fi)
	if err != nil {
		return err
	}
	final := path + how.Ext()
	tmp := final + layout.Tmp
	// What an interrupted attempt left. Nobody else uses the name: there is one engine.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := openAppend(tmp, true, fi.Mode().Perm(), owner.GID)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	err = pack(out, in, how)
	if err == nil {
		err = out.Sync() // before the old one goes: a loss of power must not take both
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	// Who looks for lines of a certain time in a raw log has only this time to go by.
	if err := os.Chtimes(tmp, fi.ModTime(), fi.ModTime()); err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil {
		return err
	}
	return os.Remove(path)
}

// window bounds the memory of the encoder; a log repeats itself at short range.
const window = 1 << 20

func pack(out io.Writer, in io.Reader, how layout.Compression) error {
	var w io.WriteCloser
	switch how {
	case layout.Gzip:
		w = gzip.NewWriter(out)
	default:
		z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window),
			zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		w = z
	}
	_, err := io.CopyBuffer(w, struct{ io.Reader }{in}, make([]byte, 128<<10))
	return errors.Join(err, w.Close())
}
