// Package systemd reads systemd service units, with their sockets, into services, and reports with line numbers what a service cannot express.
//
// The syntax is that of systemd.syntax(7), command lines are those of
// systemd.service(5). Only what means the same here is taken over. The rest is
// reported as a [Note], never dropped silently; what has no effect on the
// service (documentation, ordering against targets) is passed over.
package systemd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// maxSize bounds what is read; systemd itself stops at 1 MiB a line.
const maxSize = 1 << 20

// Note says what the service made of a unit does not say, or says differently.
type Note struct {
	File string
	Line int
	Key  string // "Service.KillMode"
	Text string
}

func (n Note) String() string { return fmt.Sprintf("%s:%d: %s: %s", n.File, n.Line, n.Key, n.Text) }

// Error is a line that systemd would not take either.
type Error struct {
	File    string
	Line    int
	Message string
}

func (e Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// Read reads .service units, and .socket units for them. The services are those
// of the units in their order; dependencies among them are kept, those upon
// other units are reported.
func Read(paths ...string) ([]spec.Service, []Note, error) {
	var (
		services    []spec.Service
		files       []string // of services
		nonblocking []bool   // of services: NonBlocking=
		sockets     []socketUnit
		notes       []Note
		errs        []error
	)
	for _, path := range paths {
		text, err := readBounded(path)
		var more []Note
		switch {
		case err != nil:
		case strings.HasSuffix(path, ".socket"):
			var u socketUnit
			u, more, err = parseSocket(path, text)
			sockets = append(sockets, u)
		default:
			var r *reader
			r, err = parse(path, text, paths)
			services, files, nonblocking = append(services, r.service), append(files, path), append(nonblocking, r.nonblocking)
			more = r.notes
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
		at := slices.IndexFunc(services, func(s spec.Service) bool { return s.Name == u.of })
		if at < 0 {
			errs = append(errs, Error{u.file, 1, fmt.Sprintf("%s.service, which it is for, is not read along with it", u.of)})
			continue
		}
		u.options.Nonblocking = nonblocking[at]
		u.attach(&services[at])
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	for i := range services {
		notes = append(notes, dropForeign(&services[i], services, files[i])...)
	}
	return services, notes, spec.ValidateSet(services).Err()
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %s", spec.ByteSize(maxSize))}
	}
	return string(data), err
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
			known := slices.ContainsFunc(all, func(other spec.Service) bool { return other.Name == name })
			if !known {
				notes = append(notes, Note{path, 1, list.key, fmt.Sprintf("%s.service is not read along with this unit: left out", name)})
			}
			return !known
		})
		if len(*list.names) == 0 {
			*list.names = nil
		}
	}
	return notes
}

// Parse makes a service of the text of one unit. The name of the service is that
// of the file; for a template NAME@.service, %i becomes "{instance}".
func Parse(path, text string) (spec.Service, []Note, error) {
	r, err := parse(path, text, nil)
	if err != nil {
		return spec.Service{}, nil, err
	}
	return r.service, r.notes, nil
}

// parse knows the units that are read along. With an error too it returns a reader.
func parse(path, text string, along []string) (*reader, error) {
	r := &reader{path: path, along: along}
	name, ok := strings.CutSuffix(filepath.Base(path), ".service")
	if !ok {
		return r, fmt.Errorf("%s: only .service and .socket units can be read", path)
	}
	entries, err := parseLines(path, text)
	if err != nil {
		return r, err
	}
	r.unit = newUnitName(name)
	r.service.Name = strings.TrimSuffix(name, "@")
	r.prepare()
	for _, e := range entries {
		r.entry(e)
	}
	r.finish()
	slices.SortStableFunc(r.notes, func(a, b Note) int { return a.Line - b.Line })
	return r, errors.Join(r.errs...)
}

// reader fills a service from the entries of a unit.
type reader struct {
	path    string
	along   []string // units that are read too
	unit    unitName
	service spec.Service
	notes   []Note
	errs    []error

	unitType      string
	group         string
	restartSec    timespan
	startInterval timespan
	startBurst    int
	restartSteps  int
	restartMax    timespan
	ambient       []string
	bounding      []string
	boundingLine  entry
	rateInterval  timespan
	rateBurst     int
	killSignal    spec.Signal
	hasInstall    bool
	nonblocking   bool
	hasStart      entry
}

// timespan is a duration that was set, or not.
type timespan struct {
	spec.Duration
	at entry
}

func (t timespan) set() bool { return t.at.key != "" }

// note reports what cannot be expressed.
func (r *reader) note(e entry, format string, args ...any) {
	r.notes = append(r.notes, Note{r.path, e.line, e.section + "." + e.key, fmt.Sprintf(format, args...)})
}

// bad reports what systemd would not take.
func (r *reader) bad(e entry, err error) {
	if err != nil {
		r.errs = append(r.errs, Error{r.path, e.line, fmt.Sprintf("%s: %s", e.key, err)})
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
}

func (r *reader) entry(e entry) {
	if e.section == "Install" {
		r.hasInstall = r.hasInstall || e.key == "WantedBy" || e.key == "RequiredBy"
		return
	}
	if strings.HasPrefix(e.section, "X-") {
		return
	}
	key := e.section + "." + e.key
	if _, ok := silent[key]; ok {
		return
	}
	set := setterOf(key)
	if set == nil {
		r.note(e, "cannot be expressed")
		return
	}
	value, unknown := r.unit.expand(e.value)
	for _, specifier := range unknown {
		r.note(e, "specifier %s is not known here and left as it is", specifier)
	}
	e.value = value
	set(r, e)
}

// finish settles what depends on several keys.
func (r *reader) finish() {
	s := &r.service
	for _, names := range []*[]string{&s.After, &s.Requires, &s.Wants, &s.PassEnv, &r.ambient, &r.bounding} {
		*names = unique(*names)
	}
	if !r.hasInstall {
		s.Autostart = new(false)
	}
	if len(s.Command) == 0 {
		r.errs = append(r.errs, Error{r.path, 1, "there is no ExecStart="})
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
