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
		said := map[string]string{}
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
			said[key] = value
		}
		pid, _ := strconv.Atoi(said["MainPID"]) // not there for units that are no services
		units = append(units, unit{
			id: said["Id"], load: said["LoadState"], file: said["UnitFileState"],
			active: said["ActiveState"], sub: said["SubState"], result: said["Result"],
			kind: said["Type"], pid: pid, reload: said["NeedDaemonReload"] == "yes",
			job: said["Job"] != "" && said["Job"] != "0",
		})
	}
	if len(units) != len(names) {
		return nil, fmt.Errorf("%s: told of %d units in place of %d",
			strings.Join(argv, " "), len(units), len(names))
	}
	return units, nil
}
