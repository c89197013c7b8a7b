package supervised

import (
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/spec"
)

var compressions = map[spec.Compress]layout.Compression{
	spec.CompressGzip: layout.Gzip,
	spec.CompressZstd: layout.Zstd,
}

// LogConfig says in the log engine's terms what a spec says of its log. A spec that names no file
// means one in dir.
func LogConfig(s spec.Service, dir string) (logs.Config, error) {
	l := s.Log
	c := logs.Config{
		Mode:   uint32(*l.Mode),
		Format: query.FormatOf(l),
		Rotate: logs.Rotate{
			Size: int64(*l.RotateSize), Age: time.Duration(l.RotateAge), Keep: *l.Keep,
			MaxAge: time.Duration(l.KeepAge), Compress: compressions[l.Compress],
		},
		Limit:   logs.Limit{Lines: l.RateLimit.Events, Per: time.Duration(l.RateLimit.Per)},
		Block:   l.Block,
		MaxWait: time.Duration(l.MaxWait),
		Buffer:  int(min(*l.Buffer, math.MaxInt32)), // an int may have 32 bits
	}
	for _, text := range l.Mask {
		mask, err := regexp.Compile(text)
		if err != nil {
			return c, fmt.Errorf("log mask: %w", err)
		}
		c.Mask = append(c.Mask, mask)
	}
	facility, ok := spec.FacilityNumber(l.Facility)
	if !ok {
		return c, fmt.Errorf("log facility %q: no such facility", l.Facility)
	}
	c.Path, c.ErrPath = s.LogFiles(dir)
	for _, t := range l.Targets {
		switch t.Kind {
		case spec.TargetStdout:
			c.Targets = append(c.Targets, logs.Target{Kind: logs.Console})
		case spec.TargetJournald:
			c.Targets = append(c.Targets, logs.Target{Kind: logs.Journal})
		case spec.TargetSyslog:
			c.Targets = append(c.Targets, logs.Target{Kind: logs.Syslog, Network: t.Network,
				Addr: t.Addr, Facility: facility})
		case spec.TargetPipe:
			c.Targets = append(c.Targets, logs.Target{Kind: logs.Program, Command: t.Command})
		}
	}
	return c, nil
}
