// Package systemd reads systemd service units, with their sockets and drop-ins, into services, and
// reports with line numbers what a service cannot express.
//
// The syntax is that of systemd.syntax(7), command lines are those of
// systemd.service(5). Only what means the same here is taken over. The rest is
// reported as a [Note], never dropped silently; what has no effect on the
// service (documentation, ordering against targets) is passed over.
package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/daemonry/daemonry/cmd/internal/readers"
	"github.com/daemonry/daemonry/spec"
)

// maxSize bounds what is read; systemd itself stops at 1 MiB a line.
const maxSize = 1 << 20

type (
	// Note says what the service made of a unit does not say, or says differently.
	Note = readers.Note
	// Error is a line that systemd would not take either.
	Error = readers.Error
)

// Read reads .service units, and .socket units for them, each with its drop-ins
// (NAME.service.d/*.conf, …). The services are those of the units in their order;
// dependencies among them are kept, those upon other units are reported, and so
// are .timer units: nothing here keeps a schedule.
func Read(paths ...string) ([]spec.Service, []Note, error) { return read(paths, unitDirs) }

func read(paths []string, dirs [][]string) ([]spec.Service, []Note, error) {
	var (
		units   []*reader // of services
		sockets []socketUnit
		notes   []Note
		errs    []error
	)
	for _, path := range paths {
		all, err := sources(path, dirs)
		var more []Note
		switch {
		case err != nil:
		case strings.HasSuffix(path, ".socket"):
			var u socketUnit
			u, more, err = parseSocket(all)
			sockets = append(sockets, u)
		case strings.HasSuffix(path, ".timer"):
			more, err = parseTimer(all)
		default:
			var r *reader
			r, err = parse(all, paths)
			units = append(units, r)
			more = append(r.notes, beside(path, paths)...)
		}
		notes = append(notes, more...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	for _, u := range sockets {
		at := slices.IndexFunc(units, func(r *reader) bool { return r.service.Name == u.of })
		if at < 0 {
			errs = append(errs, readers.Errorf(u.file, 1,
				"%s.service, which it is for, is not read along with it", u.of))
			continue
		}
		u.options.Nonblocking = units[at].nonblocking
		u.attach(&units[at].service)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	if len(units) == 0 && len(paths) > 0 {
		return nil, nil, fmt.Errorf("%s: there is no .service unit among what is read", paths[0])
	}
	var services []spec.Service
	for _, r := range units {
		services = append(services, r.service)
	}
	for i := range services {
		notes = append(notes, dropForeign(&services[i], services, units[i].path)...)
	}
	return services, notes, spec.ValidateSet(services).Err()
}

// beside tells of units that start a service, stand beside its own, and are not read.
func beside(path string, along []string) []Note {
	var notes []Note
	for _, unit := range []struct{ ending, text string }{
		{".socket", "stands beside this unit: name it as well, or the service gets no sockets"},
		{".timer", "stands beside this unit: " + noSchedule},
	} {
		other := strings.TrimSuffix(path, ".service") + unit.ending
		if _, err := os.Stat(other); err == nil && !slices.Contains(along, other) {
			notes = append(notes,
				readers.Notef(path, 1, "Unit", "%s %s", filepath.Base(other), unit.text))
		}
	}
	return notes
}

const noSchedule = "nothing here keeps a schedule; have crontab(5) run \"daemonry start\""

// parseTimer reports all that a .timer unit says.
func parseTimer(all []source) ([]Note, error) {
	var notes []Note
	var errs []error
	for _, one := range all {
		entries, err := parseLines(one.path, one.text)
		errs = append(errs, err)
		for _, e := range entries {
			switch {
			case e.section != "Timer" || e.value == "":
			case strings.HasPrefix(e.key, "On"):
				notes = append(notes, e.note("cannot be expressed: "+noSchedule))
			case e.key != "Unit":
				notes = append(notes, e.note("cannot be expressed"))
			}
		}
	}
	return notes, errors.Join(errs...)
}

// dropForeign removes requirements of units that are not read with this one,
// for nothing could meet them.
func dropForeign(s *spec.Service, all []spec.Service, path string) []Note {
	var notes []Note
	for _, list := range []struct {
		key   string
		names *[]string
	}{{"Unit.Requires", &s.Requires}, {"Unit.Wants", &s.Wants}} {
		*list.names = slices.DeleteFunc(*list.names, func(name string) bool {
			known := slices.ContainsFunc(all,
				func(other spec.Service) bool { return other.Name == name })
			if !known {
				notes = append(notes, readers.Notef(path, 1, list.key,
					"%s.service is not read along with this unit: left out", name))
			}
			return !known
		})
		if len(*list.names) == 0 {
			*list.names = nil
		}
	}
	return notes
}

// parse reads a unit and then its drop-ins, and knows the units that are read
// along. With an error too it returns a reader.
func parse(all []source, along []string) (*reader, error) {
	r := &reader{path: all[0].path, along: along, last: map[string]entry{}}
	name, ok := strings.CutSuffix(filepath.Base(r.path), ".service")
	if !ok {
		return r, fmt.Errorf("%s: only .service, .socket and .timer units can be read", r.path)
	}
	r.unit = newUnitName(name)
	r.service.Name = strings.TrimSuffix(name, "@")
	r.prepare()
	for _, one := range all {
		entries, err := parseLines(one.path, one.text)
		if err != nil {
			return r, err
		}
		for _, e := range entries {
			r.entry(e)
		}
	}
	r.finish()
	slices.SortStableFunc(r.notes, func(a, b Note) int {
		return cmp.Or(order(all, a.File)-order(all, b.File), a.Line-b.Line)
	})
	return r, errors.Join(r.errs...)
}

func order(all []source, file string) int {
	return slices.IndexFunc(all, func(s source) bool { return s.path == file })
}

// reader fills a service from the entries of a unit.
type reader struct {
	path    string
	along   []string // units that are read too
	unit    unitName
	service spec.Service
	notes   []Note
	errs    []error
	last    map[string]entry // the last assignment to each key
	keys    map[string]setter

	unitType, group string
	killSignal      spec.Signal
	wantedBy        map[string]bool // by which keys of [Install]
	nonblocking     bool

	ambient, bounding                                   []string
	restartSec, restartMax, startInterval, rateInterval timespan
	restartSteps, startBurst, rateBurst                 int
}

// timespan is a duration that was set, or not.
type timespan struct {
	spec.Duration
	at entry
}

func (t timespan) set() bool { return t.at.key != "" }

// note reports what cannot be expressed.
func (r *reader) note(e entry, format string, args ...any) {
	r.notes = append(r.notes, e.note(format, args...))
}

// bad reports what systemd would not take.
func (r *reader) bad(e entry, err error) {
	if err != nil {
		r.errs = append(r.errs, readers.Errorf(e.file, e.line, "%s: %s", e.key, err))
	}
}

// prepare sets what a unit means by saying nothing.
func (r *reader) prepare() {
	s := &r.service
	s.Chdir = "/"
	s.ClearEnv = true
	s.StopTo = spec.StopAll
	s.Restart = spec.RestartNo
	s.Sandbox.Level = spec.SandboxOff
	r.unitType = "simple"
	r.killSignal = "TERM"
	r.startBurst = -1
	r.keys = r.ownKeys()
}

func (r *reader) entry(e entry) {
	key := e.name()
	if _, ok := silent[key]; ok || strings.HasPrefix(e.section, "X-") {
		return
	}
	r.last[key] = e
	r.supersede(e)
	if e.section == "Install" {
		r.install(e)
		return
	}
	set := r.setterOf(key)
	if set == nil {
		if e.value != "" { // which takes back what was said before
			r.note(e, "cannot be expressed")
		}
		return
	}
	r.take(set, e)
}

// take has set take over the value, with what its specifiers stand for.
func (r *reader) take(set setter, e entry) {
	value, unknown := r.unit.expand(e.value)
	for _, specifier := range unknown {
		r.note(e, "specifier %s is not known here and left as it is", specifier)
	}
	e.value = value
	set(r, e)
}

// supersede takes back what was reported of assignments that count no more: those
// before an empty one, and those of keys that have one value. Dependencies only
// grow (systemd.unit(5)); an empty condition takes back all conditions.
func (r *reader) supersede(e entry) {
	key := e.name()
	_, grows := accumulate[key]
	switch {
	case strings.HasPrefix(key, "Unit.Condition") || strings.HasPrefix(key, "Unit.Assert"):
		if e.value != "" {
			return
		}
		key = key[:strings.IndexFunc(key[len("Unit.A"):], unicode.IsUpper)+len("Unit.A")]
		r.notes = slices.DeleteFunc(r.notes,
			func(n Note) bool { return strings.HasPrefix(n.Key, key) })
	case e.section != "Unit" && e.value == "", r.setterOf(key) != nil && !grows:
		r.notes = slices.DeleteFunc(r.notes, func(n Note) bool { return n.Key == key })
	}
}

// install notes whether the unit is started at boot.
func (r *reader) install(e entry) {
	switch e.key {
	case "WantedBy", "RequiredBy":
		if r.wantedBy == nil {
			r.wantedBy = map[string]bool{}
		}
		r.wantedBy[e.key] = e.value != ""
	case "Also": // of other units
	default:
		if e.value != "" {
			r.note(e, "cannot be expressed")
		}
	}
}

// isWanted says whether the unit is started at boot once it is enabled.
func (r *reader) isWanted() bool { return r.wantedBy["WantedBy"] || r.wantedBy["RequiredBy"] }

// finish settles what depends on several keys.
func (r *reader) finish() {
	s := &r.service
	for _, names := range []*[]string{
		&s.After, &s.Requires, &s.Wants, &s.PassEnv, &r.ambient, &r.bounding,
	} {
		*names = unique(*names)
	}
	if !r.isWanted() {
		s.Autostart = new(false)
	}
	if len(s.Command) == 0 {
		r.errs = append(r.errs, readers.Errorf(r.path, 1, "there is no ExecStart="))
	}
	if r.group != "" && s.User != "" {
		s.User += ":" + r.group
	}
	r.finishType()
	r.finishRestart()
	r.finishCapabilities()
	if r.rateInterval.Duration > 0 && r.rateBurst > 0 {
		s.Log.RateLimit = spec.Rate{Events: r.rateBurst, Per: r.rateInterval.Duration}
	}
	if s.StopTimeout == nil {
		s.StopTimeout = new(defaultTimeout)
	}
	if r.killSignal != spec.DefaultStopSignal && s.Stop == nil {
		s.Stop = spec.StopSchedule{{Signal: r.killSignal}}
	}
}
