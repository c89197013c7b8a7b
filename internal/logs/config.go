package logs

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/internal/logs/layout"
)

// Config says where a stream's output goes. The zero value throws it away.
type Config struct {
	// Path is the log file, absolute. Empty: no file. Missing directories are made with mode 0750.
	Path string

	// Mode holds the permissions of files made for this stream; 0 means 0640. Group is the
	// numeric group they are given; 0 leaves it as the directory has it.
	Mode  uint32
	Group int

	// Rotate says when a file is put aside and how many of them are kept.
	Rotate Rotate

	// Block makes the service wait while its log cannot be written. Otherwise the
	// service is never held up for longer than MaxWait: what does not fit into the
	// pipe by then is dropped, counted, and told in the log when it works again.
	Block   bool
	MaxWait time.Duration // 0 means 100 ms
}

// Rotate says when a log file is renamed and a new one begun. The zero value never rotates.
type Rotate struct {
	Size int64         // when the next line would make the file longer than this many bytes; 0: not by size
	Keep int           // how many rotated files are kept; 0: all
	Age  time.Duration // when the file is older than this and a line comes; 0: not by age

	// MaxAge removes rotated files older than this, at the next rotation or start; 0: none.
	MaxAge time.Duration

	Compress layout.Compression // how rotated files are kept
}

const defaultMaxWait = 100 * time.Millisecond

func (c *Config) check() error {
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		return fmt.Errorf("log file %q: not an absolute path", c.Path)
	}
	if c.Path != "" {
		c.Path = filepath.Clean(c.Path)
	}
	if c.Mode == 0 {
		c.Mode = 0o640
	}
	if c.Mode&^0o777 != 0 {
		return fmt.Errorf("log file mode %o: not permission bits", c.Mode)
	}
	if c.MaxWait == 0 {
		c.MaxWait = defaultMaxWait
	}
	if c.MaxWait < 0 || c.Rotate.Size < 0 || c.Rotate.Keep < 0 || c.Rotate.Age < 0 || c.Rotate.MaxAge < 0 {
		return fmt.Errorf("log settings: negative value")
	}
	if c.Rotate.Compress > layout.Zstd {
		return fmt.Errorf("log settings: unknown compression %d", c.Rotate.Compress)
	}
	return nil
}
