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

// keys are what means the same here.
var keys = map[string]setter{
	"Unit.Description": text(func(r *reader) *string { return &r.service.Description }),
	"Unit.After":       dependency(func(s *spec.Service) *[]string { return &s.After }),
	"Unit.Requires":    dependency(func(s *spec.Service) *[]string { return &s.Requires }),
	"Unit.Wants":       dependency(func(s *spec.Service) *[]string { return &s.Wants }),
	"Unit.BindsTo":     bindsTo,

	"Unit.StartLimitIntervalSec": span(func(r *reader) *timespan { return &r.startInterval }),
	"Unit.StartLimitBurst":       count(func(r *reader) *int { return &r.startBurst }),

	"Service.Type":            text(func(r *reader) *string { return &r.unitType }),
	"Service.RemainAfterExit": boolean(func(r *reader) *bool { return &r.service.Remain }),
	"Service.ExecStart":       execStart,
	"Service.ExecReload":      execReload,
	"Service.ExecStop":        execStop,
	"Service.PIDFile":         pidFile,

	"Service.Restart":            restart,
	"Service.RestartSec":         span(func(r *reader) *timespan { return &r.restartSec }),
	"Service.RestartSteps":       count(func(r *reader) *int { return &r.restartSteps }),
	"Service.RestartMaxDelaySec": span(func(r *reader) *timespan { return &r.restartMax }),
	"Service.SuccessExitStatus":  success,
	"Service.TimeoutStartSec":    timeoutStart,
	"Service.TimeoutStopSec":     timeoutStop,
	"Service.TimeoutSec": func(r *reader, e entry) {
		timeoutStart(r, e)
		timeoutStop(r, e)
	},
	"Service.WatchdogSec": watchdog,

	"Service.NotifyAccess": text(func(r *reader) *string {
		return (*string)(&r.service.NotifyAccess)
	}),
	"Service.FileDescriptorStoreMax": count(func(r *reader) *int { return &r.service.FDStore }),
	"Service.KillMode":               killMode,
	"Service.KillSignal":             killSignal,

	"Service.User":             text(func(r *reader) *string { return &r.service.User }),
	"Service.Group":            text(func(r *reader) *string { return &r.group }),
	"Service.WorkingDirectory": workingDirectory,
	"Service.RootDirectory":    text(func(r *reader) *string { return &r.service.Chroot }),
	"Service.UMask":            umask,
	"Service.Environment":      environment,
	"Service.EnvironmentFile":  environmentFile,
	"Service.PassEnvironment":  list(func(r *reader) *[]string { return &r.service.PassEnv }),
	"Service.StandardInput":    standardInput,
	"Service.StandardOutput": output(func(r *reader) *spec.Stream {
		return &r.service.Stdout
	}),
	"Service.StandardError": output(func(r *reader) *spec.Stream {
		return &r.service.Stderr
	}),
	"Service.Sockets":        socketsOf,
	"Service.NonBlocking":    boolean(func(r *reader) *bool { return &r.nonblocking }),
	"Service.Nice":           pointer(func(r *reader) **int { return &r.service.Nice }),
	"Service.OOMScoreAdjust": pointer(func(r *reader) **int { return &r.service.OOMScore }),
	"Service.NoNewPrivileges": boolean(func(r *reader) *bool {
		return &r.service.NoNewPrivs
	}),
	"Service.AmbientCapabilities":   capabilities(func(r *reader) *[]string { return &r.ambient }),
	"Service.CapabilityBoundingSet": capabilities(func(r *reader) *[]string { return &r.bounding }),

	"Service.MemoryMax": size(func(r *reader) *spec.ByteSize {
		return &r.service.Limits.Memory
	}),
	"Service.MemoryHigh": size(func(r *reader) *spec.ByteSize {
		return &r.service.Limits.MemoryHigh
	}),
	"Service.MemorySwapMax": memorySwapMax,
	"Service.CPUQuota":      cpuQuota,
	"Service.CPUWeight":     weight(func(r *reader) *int { return &r.service.Limits.CPUWeight }),
	"Service.IOWeight":      weight(func(r *reader) *int { return &r.service.Limits.IOWeight }),
	"Service.TasksMax":      tasksMax,

	"Service.SyslogFacility": text(func(r *reader) *string {
		return &r.service.Log.Facility
	}),
	"Service.LogRateLimitIntervalSec": span(func(r *reader) *timespan { return &r.rateInterval }),
	"Service.LogRateLimitBurst":       count(func(r *reader) *int { return &r.rateBurst }),

	"Service.PrivateTmp": switchOf(func(b *spec.Sandbox) **bool {
		return &b.PrivateTmp
	}),
	"Service.PrivateDevices": switchOf(func(b *spec.Sandbox) **bool {
		return &b.PrivateDevices
	}),
	"Service.PrivateNetwork": switchOf(func(b *spec.Sandbox) **bool {
		return &b.PrivateNetwork
	}),
	"Service.MemoryDenyWriteExecute": switchOf(func(b *spec.Sandbox) **bool {
		return &b.MemoryDenyWriteExecute
	}),
	"Service.ProtectSystem": protect(func(b *spec.Sandbox) *spec.ProtectSystem {
		return &b.ProtectSystem
	}),
	"Service.ProtectHome": protect(func(b *spec.Sandbox) *spec.ProtectHome {
		return &b.ProtectHome
	}),
	"Service.RestrictAddressFamilies": allowList(func(b *spec.Sandbox) *[]string {
		return &b.AddressFamilies
	}),
	"Service.SystemCallFilter": allowList(func(b *spec.Sandbox) *[]string {
		return &b.SystemCalls
	}),
	"Service.ReadWritePaths": pathList(func(b *spec.Sandbox) *[]string { return &b.ReadWrite }),
	"Service.ReadOnlyPaths":  pathList(func(b *spec.Sandbox) *[]string { return &b.ReadOnly }),
	"Service.InaccessiblePaths": pathList(func(b *spec.Sandbox) *[]string {
		return &b.Inaccessible
	}),
}

// setterOf returns what takes over a key, nil if nothing does.
func setterOf(key string) setter {
	if name, ok := strings.CutPrefix(key, "Service.Limit"); ok {
		name, err := spec.ParseRlimitName(name)
		if err != nil {
			return nil
		}
		return rlimit(name)
	}
	return keys[key]
}

func text(field func(*reader) *string) setter {
	return func(r *reader, e entry) { *field(r) = e.value }
}

func boolean(field func(*reader) *bool) setter {
	return func(r *reader, e entry) {
		v, err := parseBool(e.value)
		r.bad(e, err)
		*field(r) = v
	}
}

func span(field func(*reader) *timespan) setter {
	return func(r *reader, e entry) {
		d, err := parseTime(e.value)
		r.bad(e, err)
		*field(r) = timespan{d, e}
	}
}

func count(field func(*reader) *int) setter {
	return func(r *reader, e entry) {
		n, err := strconv.Atoi(e.value)
		if err != nil {
			err = fmt.Errorf("%q is not a number", e.value)
		}
		r.bad(e, err)
		*field(r) = n
	}
}

func weight(field func(*reader) *int) setter {
	return func(r *reader, e entry) {
		switch e.value {
		case "":
			*field(r) = 0
		case "idle":
			r.note(e, "idle cannot be expressed")
		default:
			count(field)(r, e)
		}
	}
}

func pointer(field func(*reader) **int) setter {
	return func(r *reader, e entry) {
		if e.value == "" {
			*field(r) = nil
			return
		}
		n := 0
		count(func(*reader) *int { return &n })(r, e)
		*field(r) = &n
	}
}

// list adds the words of the value; an empty value empties the list.
func list(field func(*reader) *[]string) setter {
	return func(r *reader, e entry) {
		all, err := words(e.value)
		r.bad(e, err)
		if e.value == "" {
			*field(r) = nil
			return
		}
		*field(r) = append(*field(r), all...)
	}
}

func size(field func(*reader) *spec.ByteSize) setter {
	return func(r *reader, e entry) {
		switch {
		case strings.HasSuffix(e.value, "%"):
			r.note(e, "a share of the machine's memory cannot be expressed")
			return
		case e.value == "":
			*field(r) = 0
			return
		}
		n, err := parseSize(e.value)
		r.bad(e, err)
		if n == spec.Unlimited {
			n = 0
		}
		*field(r) = spec.ByteSize(n)
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
func dependency(field func(*spec.Service) *[]string) setter {
	return func(r *reader, e entry) {
		for name := range strings.FieldsSeq(e.value) {
			service, ok := strings.CutSuffix(name, ".service")
			if ok && spec.CheckName(service) == nil {
				*field(&r.service) = append(*field(&r.service), service)
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
	dependency(func(s *spec.Service) *[]string { return &s.Requires })(r, e)
}

func switchOf(field func(*spec.Sandbox) **bool) setter {
	return func(r *reader, e entry) {
		v, err := parseBool(e.value)
		if err != nil {
			r.note(e, "%s", err)
			return
		}
		*field(&r.service.Sandbox) = &v
	}
}

// protect reads one of the values of an enumeration, or a boolean.
func protect[T interface {
	~string
	Values() []string
}](field func(*spec.Sandbox) *T) setter {
	return func(r *reader, e entry) {
		value := T(e.value)
		if v, err := parseBool(e.value); err == nil {
			value = map[bool]T{true: "yes", false: "no"}[v]
		}
		if !slices.Contains(value.Values(), string(value)) {
			r.bad(e, fmt.Errorf("%q is not one of %s", value, strings.Join(value.Values(), ", ")))
			return
		}
		*field(&r.service.Sandbox) = value
	}
}

func allowList(field func(*spec.Sandbox) *[]string) setter {
	return func(r *reader, e entry) {
		if strings.HasPrefix(e.value, "~") {
			r.note(e, "a list of what is forbidden cannot be expressed")
			return
		}
		if e.value == "none" || strings.Contains(e.value, ":") {
			r.note(e, "%q cannot be expressed", e.value)
			return
		}
		list(func(r *reader) *[]string { return field(&r.service.Sandbox) })(r, e)
	}
}

func pathList(field func(*spec.Sandbox) *[]string) setter {
	return func(r *reader, e entry) {
		all, err := words(e.value)
		r.bad(e, err)
		if e.value == "" {
			*field(&r.service.Sandbox) = nil
		}
		for _, path := range all {
			if strings.TrimLeft(path, "-+") != path {
				r.note(e, "%s: the prefix cannot be expressed", path)
				path = strings.TrimLeft(path, "-+")
			}
			*field(&r.service.Sandbox) = append(*field(&r.service.Sandbox), path)
		}
	}
}

// capabilities turns "CAP_NET_RAW" into "net_raw"; a set that is taken away
// from all ("~CAP_…") is reported.
func capabilities(field func(*reader) *[]string) setter {
	return func(r *reader, e entry) {
		if strings.HasPrefix(e.value, "~") {
			r.note(e, "capabilities taken away from all cannot be expressed")
			return
		}
		if e.value == "" {
			*field(r) = []string{}
		}
		for name := range strings.FieldsSeq(e.value) {
			*field(r) = append(*field(r), strings.TrimPrefix(strings.ToLower(name), "cap_"))
		}
	}
}
