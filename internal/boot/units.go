package boot

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// unit is what systemd says of a unit.
type unit struct {
	id, load, file, active, sub, result, kind string
	pid                                       int
	// the file is newer than what was read of it
	reload bool
	// something is queued: to be started, if it is inactive
	job bool
}

// up says that it has come up. What is "activating" may still fail to.
func (u unit) up() bool {
	return slices.Contains([]string{"active", "reloading", "refreshing"}, u.active)
}

// down says that nothing of it runs, or is about to: while a machine boots, what waits for its turn
// is "inactive" too.
func (u unit) down() bool { return !u.job && (u.active == "inactive" || u.active == "failed") }

const unitProperties = "Id,LoadState,UnitFileState,ActiveState,SubState,Result,Type,MainPID," +
	"NeedDaemonReload,Job"

// show asks for the properties of units, in their order.
func (s *systemdManager) show(ctx context.Context, names []string) ([]unit, error) {
	argv := s.systemctl(append([]string{"show", "--property=" + unitProperties, "--"}, names...)...)
	out, err := s.m.run(ctx, argv...)
	if err != nil {
		return nil, err
	}
	var units []unit
	for block := range strings.SplitSeq(strings.TrimSpace(out), "\n\n") {
		var u unit
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
			switch key {
			case "Id":
				u.id = value
			case "LoadState":
				u.load = value
			case "UnitFileState":
				u.file = value
			case "ActiveState":
				u.active = value
			case "SubState":
				u.sub = value
			case "Result":
				u.result = value
			case "Type":
				u.kind = value
			case "MainPID":
				u.pid, _ = strconv.Atoi(value) // not there for units that are no services
			case "NeedDaemonReload":
				u.reload = value == "yes"
			case "Job":
				u.job = value != "" && value != "0"
			}
		}
		units = append(units, u)
	}
	if len(units) != len(names) {
		return nil, fmt.Errorf("%s: told of %d units in place of %d",
			strings.Join(argv, " "), len(units), len(names))
	}
	return units, nil
}
