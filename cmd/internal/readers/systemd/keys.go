package systemd

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/spec"
)

// silent are keys without an effect on how a service runs.
var silent = map[string]struct{}{
	"Unit.Documentation": {}, "Unit.DefaultDependencies": {}, "Unit.SourcePath": {},
	"Service.GuessMainPID": {},
}

// accumulate are keys whose assignments add up. Any other takes the place of the
// one before it.
var accumulate = map[string]struct{}{
	"Unit.After": {}, "Unit.Requires": {}, "Unit.Wants": {}, "Unit.BindsTo": {},
	"Service.ExecStart": {}, "Service.ExecReload": {}, "Service.ExecStop": {},
	"Service.SuccessExitStatus": {}, "Service.Sockets": {},
	"Service.Environment": {}, "Service.EnvironmentFile": {}, "Service.PassEnvironment": {},
	"Service.AmbientCapabilities": {}, "Service.CapabilityBoundingSet": {},
	"Service.RestrictAddressFamilies": {}, "Service.SystemCallFilter": {},
	"Service.ReadWritePaths": {}, "Service.ReadOnlyPaths": {}, "Service.InaccessiblePaths": {},
}

// setter takes one assignment over into the service.
type setter func(r *reader, e entry)

// ownKeys are what takes over each key that means the same here.
func (r *reader) ownKeys() map[string]setter {
	s := &r.service
	limits, box := &s.Limits, &s.Sandbox
	return map[string]setter{
		"Unit.Description": text(&s.Description),
		"Unit.After":       dependency(&s.After),
		"Unit.Requires":    dependency(&s.Requires),
		"Unit.Wants":       dependency(&s.Wants),
		"Unit.BindsTo":     bindsTo,

		"Unit.StartLimitIntervalSec": span(&r.startInterval),
		"Unit.StartLimitBurst":       count(&r.startBurst),

		"Service.Type":            text(&r.unitType),
		"Service.RemainAfterExit": boolean(&s.Remain),
		"Service.ExecStart":       execStart,
		"Service.ExecReload":      execReload,
		"Service.ExecStop":        execStop,
		"Service.PIDFile":         pidFile,

		"Service.Restart":            restart,
		"Service.RestartSec":         span(&r.restartSec),
		"Service.RestartSteps":       count(&r.restartSteps),
		"Service.RestartMaxDelaySec": span(&r.restartMax),
		"Service.SuccessExitStatus":  success,
		"Service.TimeoutStartSec":    timeoutStart,
		"Service.TimeoutStopSec":     timeoutStop,
		"Service.TimeoutSec": func(r *reader, e entry) {
			timeoutStart(r, e)
			timeoutStop(r, e)
		},
		"Service.WatchdogSec": watchdog,

		"Service.NotifyAccess":           text((*string)(&s.NotifyAccess)),
		"Service.FileDescriptorStoreMax": count(&s.FDStore),
		"Service.KillMode":               killMode,
		"Service.KillSignal":             value(&r.killSignal, spec.ParseSignal),

		"Service.User":                  text(&s.User),
		"Service.Group":                 text(&r.group),
		"Service.WorkingDirectory":      workingDirectory,
		"Service.RootDirectory":         text(&s.Chroot),
		"Service.UMask":                 mode(&s.Umask),
		"Service.Environment":           environment,
		"Service.EnvironmentFile":       environmentFile,
		"Service.PassEnvironment":       list(&s.PassEnv),
		"Service.StandardInput":         standardInput,
		"Service.StandardOutput":        output(&s.Stdout),
		"Service.StandardError":         output(&s.Stderr),
		"Service.Sockets":               socketsOf,
		"Service.NonBlocking":           boolean(&r.nonblocking),
		"Service.Nice":                  pointer(&s.Nice),
		"Service.OOMScoreAdjust":        pointer(&s.OOMScore),
		"Service.NoNewPrivileges":       boolean(&s.NoNewPrivs),
		"Service.AmbientCapabilities":   capabilities(&r.ambient),
		"Service.CapabilityBoundingSet": capabilities(&r.bounding),

		"Service.MemoryMax":     size(&limits.Memory),
		"Service.MemoryHigh":    size(&limits.MemoryHigh),
		"Service.MemorySwapMax": memorySwapMax,
		"Service.CPUQuota":      cpuQuota,
		"Service.CPUWeight":     weight(&limits.CPUWeight),
		"Service.IOWeight":      weight(&limits.IOWeight),
		"Service.TasksMax":      tasksMax,

		"Service.SyslogFacility":          text(&s.Log.Facility),
		"Service.LogRateLimitIntervalSec": span(&r.rateInterval),
		"Service.LogRateLimitBurst":       count(&r.rateBurst),

		"Service.PrivateTmp":              switchOf(&box.PrivateTmp),
		"Service.PrivateDevices":          switchOf(&box.PrivateDevices),
		"Service.PrivateNetwork":          switchOf(&box.PrivateNetwork),
		"Service.MemoryDenyWriteExecute":  switchOf(&box.MemoryDenyWriteExecute),
		"Service.ProtectSystem":           protect(&box.ProtectSystem),
		"Service.ProtectHome":             protect(&box.ProtectHome),
		"Service.RestrictAddressFamilies": allowList(&box.AddressFamilies),
		"Service.SystemCallFilter":        allowList(&box.SystemCalls),
		"Service.ReadWritePaths":          pathList(&box.ReadWrite),
		"Service.ReadOnlyPaths":           pathList(&box.ReadOnly),
		"Service.InaccessiblePaths":       pathList(&box.Inaccessible),
	}
}

// setterOf returns what takes over a key, nil if nothing does.
func (r *reader) setterOf(key string) setter {
	if name, ok := strings.CutPrefix(key, "Service.Limit"); ok {
		name, err := spec.ParseRlimitName(name)
		if err != nil {
			return nil
		}
		return rlimit(name)
	}
	return r.keys[key]
}

func text(field *string) setter {
	return func(_ *reader, e entry) { *field = e.value }
}

// value takes what parse makes of the text.
func value[T any](field *T, parse func(string) (T, error)) setter {
	return func(r *reader, e entry) {
		v, err := parse(e.value)
		r.bad(e, err)
		*field = v
	}
}

func boolean(field *bool) setter { return value(field, parseBool) }

func mode(field **spec.Mode) setter {
	return func(r *reader, e entry) {
		*field = new(spec.Mode)
		value(*field, spec.ParseMode)(r, e)
	}
}

func span(field *timespan) setter {
	return func(r *reader, e entry) {
		d, err := parseTime(e.value)
		r.bad(e, err)
		*field = timespan{d, e}
	}
}

func count(field *int) setter {
	return value(field, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil {
			err = fmt.Errorf("%q is not a number", text)
		}
		return n, err
	})
}

func weight(field *int) setter {
	return func(r *reader, e entry) {
		switch e.value {
		case "":
			*field = 0
		case "idle":
			r.note(e, "idle cannot be expressed")
		default:
			count(field)(r, e)
		}
	}
}

func pointer(field **int) setter {
	return func(r *reader, e entry) {
		if e.value == "" {
			*field = nil
			return
		}
		n := 0
		count(&n)(r, e)
		*field = &n
	}
}

// list adds the words of the value; an empty value empties the list.
func list(field *[]string) setter {
	return func(r *reader, e entry) {
		all, err := words(e.value)
		r.bad(e, err)
		if e.value == "" {
			*field = nil
			return
		}
		*field = append(*field, all...)
	}
}

func size(field *spec.ByteSize) setter {
	return func(r *reader, e entry) {
		switch {
		case strings.HasSuffix(e.value, "%"):
			r.note(e, "a share of the machine's memory cannot be expressed")
			return
		case e.value == "":
			*field = 0
			return
		}
		n, err := parseSize(e.value)
		r.bad(e, err)
		if n == spec.Unlimited {
			n = 0
		}
		*field = spec.ByteSize(n)
	}
}

func rlimit(name spec.RlimitName) setter {
	return func(r *reader, e entry) {
		if e.value == "" {
			delete(r.service.Rlimit, name)
			return
		}
		limit, err := parseRlimit(name, e.value)
		r.bad(e, err)
		if r.service.Rlimit == nil {
			r.service.Rlimit = map[spec.RlimitName]spec.Rlimit{}
		}
		r.service.Rlimit[name] = limit
	}
}

// dependency keeps the services among the units; targets and the like, which
// stand for the machine's own boot, are passed over.
func dependency(field *[]string) setter {
	return func(r *reader, e entry) {
		for name := range strings.FieldsSeq(e.value) {
			service, ok := strings.CutSuffix(name, ".service")
			if ok && spec.CheckName(service) == nil {
				*field = append(*field, service)
			} else if !strings.HasSuffix(name, ".target") && !r.readAlong(name) {
				r.note(e, "%s is not the name of a service: left out", name)
			}
		}
	}
}

// readAlong knows sockets that become part of a service.
func (r *reader) readAlong(unit string) bool {
	return slices.ContainsFunc(r.along,
		func(path string) bool { return filepath.Base(path) == unit })
}

// socketsOf are sockets besides the one of the same name; which is whose is
// said by Service= in theirs.
func socketsOf(r *reader, e entry) {
	for name := range strings.FieldsSeq(e.value) {
		if !r.readAlong(name) {
			r.note(e, "%s is not read along with this unit: left out", name)
		}
	}
}

// unique returns the names without those that came before.
func unique(names []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(name string) bool {
		had := seen[name]
		seen[name] = true
		return had
	})
}

func bindsTo(r *reader, e entry) {
	r.note(e, "taken as requires; the service is not stopped when the other one stops by itself")
	dependency(&r.service.Requires)(r, e)
}

func switchOf(field **bool) setter {
	return func(r *reader, e entry) {
		v, err := parseBool(e.value)
		if err != nil {
			r.note(e, "%s", err)
			return
		}
		*field = &v
	}
}

// protect reads one of the values of an enumeration, or a boolean.
func protect[T interface {
	~string
	Values() []string
}](field *T) setter {
	return func(r *reader, e entry) {
		value := T(e.value)
		if v, err := parseBool(e.value); err == nil {
			value = map[bool]T{true: "yes", false: "no"}[v]
		}
		if !slices.Contains(value.Values(), string(value)) {
			r.bad(e, fmt.Errorf("%q is not one of %s", value, strings.Join(value.Values(), ", ")))
			return
		}
		*field = value
	}
}

func allowList(field *[]string) setter {
	return func(r *reader, e entry) {
		if strings.HasPrefix(e.value, "~") {
			r.note(e, "a list of what is forbidden cannot be expressed")
			return
		}
		if e.value == "none" || strings.Contains(e.value, ":") {
			r.note(e, "%q cannot be expressed", e.value)
			return
		}
		list(field)(r, e)
	}
}

func pathList(field *[]string) setter {
	return func(r *reader, e entry) {
		all, err := words(e.value)
		r.bad(e, err)
		if e.value == "" {
			*field = nil
		}
		for _, path := range all {
			if strings.TrimLeft(path, "-+") != path {
				r.note(e, "%s: the prefix cannot be expressed", path)
				path = strings.TrimLeft(path, "-+")
			}
			*field = append(*field, path)
		}
	}
}

// capabilities turns "CAP_NET_RAW" into "net_raw"; a set that is taken away
// from all ("~CAP_…") is reported.
func capabilities(field *[]string) setter {
	return func(r *reader, e entry) {
		if strings.HasPrefix(e.value, "~") {
			r.note(e, "capabilities taken away from all cannot be expressed")
			return
		}
		if e.value == "" {
			*field = []string{}
		}
		for name := range strings.FieldsSeq(e.value) {
			*field = append(*field, strings.TrimPrefix(strings.ToLower(name), "cap_"))
		}
	}
}
