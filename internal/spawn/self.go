//go:build unix && !aix

package spawn

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/daemonry/daemonry/internal/sys"
)

// Self returns a path that executes the running program anew, which then can be a stage (sys.Self).
func Self() (string, error) {
	if err := Guest(); err != nil {
		return "", err
	}
	self, err := sys.Self()
	if err != nil {
		return "", fmt.Errorf("find the program's own file: %w", err)
	}
	return self, nil
}

// Guest returns an error that wraps errors.ErrUnsupported if this code is part of a program that is
// somebody else's: executed anew, that would run its main, and know nothing of stages.
func Guest() error {
	guest.once.Do(func() { guest.as = guestAs() })
	as := guest.as
	if as == "" {
		return nil
	}
	host, err := sys.Self()
	if err != nil {
		host = "another program" // it is one, whatever its name
	}
	return fmt.Errorf("this code is %s inside %s, which a daemon cannot be made of: executed "+
		"again, that runs a main of its own: %w", as, host, errors.ErrUnsupported)
}

// guest is what this process has found out about itself: it is asked at every start by way of a
// stage, takes 50 µs to find out, and stays as it is.
var guest struct {
	once sync.Once
	as   string
}

// guestAs says what this code is in somebody else's program; "" if the program is ours.
//
// The build information tells it of what is made for other languages, if the go command has built
// it; a plugin has that of its host. What begins a stage is a library's code then, as all of what a
// running program opens; but it is the host's own if the host has this package, and all is well.
func guestAs() string {
	switch buildSetting("-buildmode") {
	case "c-shared":
		return "a shared library"
	case "c-archive":
		// Its packages are initialised beside the main of the program (runtime.libInit), which so
		// would run in each stage.
		return "an archive"
	}
	if sys.LibraryOf(reflect.ValueOf(stage).Pointer()) != "" {
		return "a shared library"
	}
	return ""
}

// buildSetting is one of the settings the program was built with, "" if that is not known.
func buildSetting(key string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
	if i < 0 {
		return ""
	}
	return info.Settings[i].Value
}
