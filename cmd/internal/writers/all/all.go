// Package all lists the targets that services can be written for.
package all

import (
	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/freebsd"
	"github.com/daemonry/daemonry/internal/writers/kubernetes"
	"github.com/daemonry/daemonry/internal/writers/launchd"
	"github.com/daemonry/daemonry/internal/writers/nomad"
	"github.com/daemonry/daemonry/internal/writers/openrc"
	"github.com/daemonry/daemonry/internal/writers/runit"
	"github.com/daemonry/daemonry/internal/writers/s6"
	"github.com/daemonry/daemonry/internal/writers/supervisord"
	"github.com/daemonry/daemonry/internal/writers/systemd"
	"github.com/daemonry/daemonry/internal/writers/sysv"
)

// Targets returns all targets, in the order of the documentation.
func Targets() []writers.Target {
	return []writers.Target{
		systemd.Target(),
		launchd.Target(),
		openrc.Target(),
		sysv.Target(),
		runit.Target(),
		s6.Target(),
		freebsd.Target(),
		supervisord.Target(),
		kubernetes.Target(),
		nomad.Target(),
	}
}

// Lookup returns the target of that name.
func Lookup(name string) (writers.Target, bool) {
	for _, t := range Targets() {
		if t.Name == name {
			return t, true
		}
	}
	return writers.Target{}, false
}

// Names returns the names of all targets, for help and completion.
func Names() []string {
	var names []string
	for _, t := range Targets() {
		names = append(names, t.Name)
	}
	return names
}
