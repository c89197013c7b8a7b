package logs

import (
	"cmp"
	"path/filepath"
	"regexp"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

// Config says where a stream's output goes. The zero value throws it away.
type Config struct {
	// Path is the log file, absolute. Empty: no file. Missing directories are made with mode 0750.
	// ErrPath, if not empty, is another for standard error alone.
	Path    string
	ErrPath string

	// Mode holds the permissions of files made for this stream; 0 means 0640. Group is the
	// numeric group that they and their directories are given; 0 means Options.Group.
	Mode  uint32
	Group int

	// Format is how lines are written to files. Raw, the zero value, writes the bytes as they come.
	// Format.Mark needs standard error on a FIFO of its own (Stream.ErrorEnd), and then its order
	// among the lines of standard output is that of reading, to within the time output is left to
	// gather.
	Format line.Format

	// Rotate says when a file is put aside and how many of them are kept.
	Rotate Rotate

	// Targets are where lines go beside the files.
	Targets []Target

	// Mask replaces what matches by "***" in each line, before it goes anywhere. A line that is not
	// complete 200 ms after its beginning, or longer than 32 KiB, is masked piece by piece.
	Mask []*regexp.Regexp

	// Limit suppresses lines beyond a rate, and says so in the log. The zero value does not.
	Limit Limit

	// Block makes the service wait while its log cannot be written. Otherwise the service is never
	// held up for longer than MaxWait: what does not fit into the pipe (its log file) or Buffer
	// (another target) by then is dropped, counted, and told when it works again.
	Block   bool
	MaxWait time.Duration // 0 means 100 ms
	Buffer  int           // bytes kept for each target that does not take them; 0 means 1 MiB
}

// Rotate says when a log file is renamed and a new one begun. The zero value never rotates.
type Rotate struct {
	// when the next line would make the file longer than this many bytes; 0: not by size
	Size int64
	// when the file is older than this and a line comes; 0: not by age
	Age time.Duration

	// how many rotated files are kept; negative: all
	Keep int
	// rotated files older than this are removed, at the next rotation or start; 0: not by age
	MaxAge time.Duration

	Compress layout.Compression // how rotated files are kept
}

// Limit is a rate of lines: Lines in every Per, all at once if they come so. Lines 0 is no limit;
// Per 0 means a second.
type Limit struct {
	Lines int
	Per   time.Duration
}

const (
	defaultMaxWait = 100 * time.Millisecond
	defaultBuffer  = 1 << 20
)

// Apart says whether standard error needs a FIFO of its own.
func (c *Config) Apart() bool { return c.ErrPath != "" || c.Format.Mark }

// lined says whether output has to be looked at line by line.
func (c *Config) lined() bool {
	return !c.Format.Raw() || len(c.Targets) > 0 || len(c.Mask) > 0 || c.Limit.Lines > 0
}

// complete gives c its defaults, group among them. What is wrong in a description, such as a path
// that is not absolute, spec has refused.
func (c *Config) complete(group int) {
	c.Group = cmp.Or(c.Group, group)
	c.Mode = cmp.Or(c.Mode, 0o640)
	c.MaxWait = cmp.Or(c.MaxWait, defaultMaxWait)
	c.Buffer = cmp.Or(c.Buffer, defaultBuffer)
	c.Limit.Per = cmp.Or(c.Limit.Per, time.Second)
	for _, p := range []*string{&c.Path, &c.ErrPath} {
		if *p != "" {
			*p = filepath.Clean(*p)
		}
	}
	if c.Path == c.ErrPath {
		c.ErrPath = "" // joined: two files of one name would be one file rotated twice
	}
}
