package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker in a release (-X …/cmd/internal/cli.version=1.2.3).
// Otherwise it is what the go command has recorded about the module.
var version string

// build is what is known of how this binary was made.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	System   string `json:"system"`
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	if ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	return b
}

func versionVerb(a *app) *verb {
	var asJSON bool
	return &verb{
		options: []group{{"", []option{{"json", "", "", toggle(&asJSON)}}}},
		run: func(words []string) error {
			if len(words) > 0 {
				return usagef("unexpected word %q", words[0])
			}
			return a.printVersion(asJSON)
		},
	}
}

func (a *app) printVersion(asJSON bool) error {
	b := thisBuild()
	if asJSON {
		return a.writeJSON(b)
	}
	_, err := fmt.Fprintf(a.out, "%s %s, %s, %s\n", program, b.Version, b.Go, b.System)
	return err
}
