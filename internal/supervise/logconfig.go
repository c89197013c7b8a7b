package supervise

import (
	"path/filepath"
	"time"

	"github.com/daemonry/daemonry/internal/logs"
	"github.com/daemonry/daemonry/spec"
)

// logConfig says in the log engine's terms what a spec says of its log. A spec that names no file
// means one in dir.
func logConfig(s spec.Service, dir string) logs.Config {
	l := s.Log
	c := logs.Config{Block: l.Block, Mode: uint32(*l.Mode)}
	for _, t := range l.Targets {
		switch t.Kind {
		case spec.TargetFile:
			if c.Path = l.File; c.Path == "" {
				c.Path = filepath.Join(dir, s.Name+".log")
			}
		case spec.TargetStdout:
			c.Targets = append(c.Targets, logs.Target{Kind: logs.Console})
		}
	}
	c.Rotate = logs.Rotate{
		Size: int64(*l.RotateSize), Keep: *l.Keep, Age: time.Duration(l.RotateAge), MaxAge: time.Duration(l.KeepAge),
	}
	return c
}
