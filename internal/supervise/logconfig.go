package supervise

import (
	"time"

	"github.com/daemonry/daemonry/internal/logs"
	"github.com/daemonry/daemonry/spec"
)

// logConfig says in the log engine's terms what a spec says of its log. file is where it goes if the spec names none.
func logConfig(s spec.Service, file string) logs.Config {
	l := s.Log
	c := logs.Config{Block: l.Block, Mode: uint32(*l.Mode)}
	for _, t := range l.Targets {
		if t.Kind == spec.TargetFile {
			if c.Path = file; l.File != "" {
				c.Path = l.File
			}
		}
	}
	c.Rotate = logs.Rotate{
		Size: int64(*l.RotateSize), Keep: *l.Keep, Age: time.Duration(l.RotateAge), MaxAge: time.Duration(l.KeepAge),
	}
	return c
}
