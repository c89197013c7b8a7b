package spec

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// maxName bounds names so that NAME@N.log and the like stay within the 255
// bytes of a file name.
const maxName = 64

// maxInstances is a bound against a slip of the keyboard, not a promise.
const maxInstances = 10_000

// Validate returns everything that is wrong with s by itself, nil if nothing
// is. It judges s as it is: paths must be absolute by now (see
// [Service.Resolve]), texts parsed. Whether users, files and other services
// exist is for others to say; see [ValidateSet].
func (s Service) Validate() Problems {
	p := &problems{service: s.Name}
	p.err("name", CheckName(s.Name))
	d := s.WithDefaults()
	d.checkWhat(p)
	d.checkProcess(p)
	d.checkEnv(p)
	d.checkSupervision(p)
	d.checkReady(p)
	d.checkDependencies(p)
	d.checkLimits(p)
	d.Log.check(p)
	d.checkSockets(p)
	d.Sandbox.check(p)
	d.checkLast(p)
	return p.list
}

// CheckName says what is wrong with the name of a service, nil if nothing is.
func CheckName(name string) error {
	const hint = "letters, digits, - _ . @; at most 64, not beginning with - or ."
	switch {
	case name == "":
		return hintf(hint, "the name is empty")
	case len(name) > maxName:
		return hintf(hint, "name of %d bytes is longer than %d", len(name), maxName)
	case !isName(name, "-_.@") || name[0] == '-' || name[0] == '.':
		return hintf(hint, "%q is not the name of a service", name)
	}
	return nil
}

func (s *Service) checkWhat(p *problems) {
	p.err("command", checkCommand(s.Command, true))
	checkEnum(p, "type", s.Type)
	p.when(s.Remain && s.Type != Oneshot,
		"remain", `set type = "oneshot"`, "only a oneshot remains")
	p.when(s.Instances < 0 || s.Instances > maxInstances,
		"instances", "", "%d is not in 0 to %d", s.Instances, maxInstances)
	if len(fmt.Sprintf("%s@%d", s.Name, s.Instances)) > maxName && s.Instances > 0 &&
		len(s.Name) <= maxName {
		p.add("instances", "name of the last instance is longer than %d bytes", maxName)
	}
	p.when(strings.ContainsAny(s.Description, "\n\r\x00"), "description", "", "must be one line")
	for _, name := range sortedKeys(s.Labels) {
		p.when(name == "" || strings.ContainsAny(name+s.Labels[name], "\n\x00"),
			"labels", "", "%q is empty or has a newline or NUL in it", name)
	}
	p.when(!s.Schedule.valid(), "schedule", "", "never comes")
	if s.Schedule != (Schedule{}) && s.Restart == RestartAlways {
		p.hint("restart", "use no or on-failure", "a service with a schedule cannot always restart")
	}
}

func checkCommand(c Command, required bool) error {
	if len(c) == 0 && !required {
		return nil
	}
	if len(c) == 0 || c[0] == "" {
		return hintf("", "there is no program to run")
	}
	for _, word := range c {
		if strings.ContainsRune(word, 0) {
			return hintf("", "argument %q contains a NUL", word)
		}
	}
	return nil
}

func (s *Service) checkSupervision(p *problems) {
	checkEnum(p, "restart", s.Restart)
	checkEnum(p, "stop_to", s.StopTo)
	p.when(s.Type == Oneshot && s.Restart == RestartAlways,
		"restart", "use no or on-failure", "a oneshot that always restarts never ends")
	for _, code := range s.Success.Codes {
		p.when(code < 0 || code > 255, "success", "", "%d is not an exit code", code)
	}
	for _, signal := range s.Success.Signals {
		p.err("success", checkSignal(signal))
	}
	before := len(p.list)
	s.Backoff.check(p)
	s.Budget.check(p)
	if len(p.list) == before {
		s.Budget.checkReachable(p, s.Backoff)
	}
	for i, step := range s.Stop {
		p.err("stop", checkSignal(step.Signal))
		checkNotNegative(p, "stop", step.Wait)
		p.when(step.Signal == "KILL" && i+1 < len(s.Stop),
			"stop", "", "nothing after KILL has an effect")
	}
	p.err("stop_timeout", checkAbove(*s.StopTimeout))
	p.err("stop_command", checkCommand(s.StopCommand, false))
	p.err("reload_command", checkCommand(s.ReloadCommand, false))
	if s.Reload != "" {
		p.err("reload", checkSignal(s.Reload))
		p.when(len(s.ReloadCommand) > 0, "reload_command", "", "excludes reload")
	}
}

func checkSignal(signal Signal) error {
	again, err := ParseSignal(string(signal))
	if err == nil && again != signal {
		err = hintf("write "+string(again), "%q is not a signal's name", signal)
	}
	return err
}

// checkAbove wants a duration above zero.
func checkAbove(d Duration) error {
	if d <= 0 {
		return hintf(`write "forever" for no limit`, "duration %s is not above zero", d)
	}
	return nil
}

func checkNotNegative(p *problems, field string, d Duration) {
	p.when(d < 0, field, "", "duration %s is negative", d)
}

func (b Backoff) check(p *problems) {
	checkNotNegative(p, "backoff.first", *b.First)
	p.when(*b.Cap < *b.First,
		"backoff.cap", "", "%s is below the first delay of %s", *b.Cap, *b.First)
	if !(*b.Factor >= 1 && *b.Factor <= 100) { // refuses NaN too
		p.add("backoff.factor", "%v is not in 1 to 100", *b.Factor)
	}
	p.when(!(*b.Jitter >= 0 && *b.Jitter <= 1),
		"backoff.jitter", "", "%v is not in 0 to 1", *b.Jitter)
}

// maxRestarts is more than any window holds.
const maxRestarts = 100_000

func (b Budget) check(p *problems) {
	checkNotNegative(p, "budget.retry", b.Retry)
	p.err("budget.window", checkAbove(*b.Window))
	if n := *b.Restarts; n < -1 || n > maxRestarts {
		p.hint("budget.restarts", "write -1 for any number", "%d is not in 0 to %d", n, maxRestarts)
	} else if n == -1 && b.Retry > 0 {
		p.add("budget.retry", "has no effect without a limit of restarts")
	}
}

// checkReachable refuses a budget that the delays alone keep from ever being
// spent: it would look like a limit and be none.
func (b Budget) checkReachable(p *problems, backoff Backoff) {
	var sum float64 // a sum of durations may exceed the largest one
	for n := 1; n <= *b.Restarts; n++ {
		sum += float64(backoff.Delay(n, 1))
		if sum > float64(*b.Window) {
			p.hint("budget", "lengthen budget.window, or say restarts = -1",
				"is never spent: the delays of %d restarts take longer than the window of %s",
				*b.Restarts, *b.Window)
			return
		}
	}
}

func (s *Service) checkReady(p *problems) {
	p.err("ready", s.Ready.check())
	p.err("timeout", checkAbove(*s.Timeout))
	if (s.Ready.Kind == ProbeSettle || s.Ready.Kind == ProbeSettled) && *s.Timeout > 0 &&
		s.Ready.Settle >= *s.Timeout {
		p.add("ready", "settles for %s, which is not within the time-out of %s",
			s.Ready.Settle, *s.Timeout)
	}
	checkNotNegative(p, "watchdog", s.Watchdog)
	p.when(s.Watchdog == Forever, "watchdog", "leave it out", "a watchdog of forever is none")
	checkEnum(p, "notify_access", s.NotifyAccess)
	p.when(s.NotifyAccess == NotifyNone && (s.Ready.Kind == ProbeNotify || s.Watchdog > 0),
		"notify_access", "", "is none, but ready or watchdog waits for messages")
	l := s.Liveness
	if l.Check != (Probe{}) {
		p.err("liveness.check", l.Check.check())
		p.err("liveness.check", l.Check.checkLiveness())
	}
	p.err("liveness.interval", checkAbove(*l.Interval))
	p.err("liveness.timeout", checkAbove(*l.Timeout))
	checkNotNegative(p, "liveness.grace", l.Grace)
	p.when(*l.Threshold < 1, "liveness.threshold", "", "%d is below 1", *l.Threshold)
}

func (s *Service) checkDependencies(p *problems) {
	for _, list := range s.dependencyLists() {
		seen := map[string]bool{}
		for i, name := range *list.names {
			field := fmt.Sprintf("%s[%d]", list.field, i)
			if err := CheckName(name); err != nil {
				p.err(field, err)
			} else if name == s.Name || name == s.BaseName() {
				p.add(field, "a service cannot depend on itself")
			} else if seen[name] {
				p.add(field, "%q is there twice", name)
			}
			seen[name] = true
		}
	}
}

func (s *Service) checkLimits(p *problems) {
	l := s.Limits
	for _, size := range []struct {
		field string
		value ByteSize
	}{
		{"memory", l.Memory}, {"memory_high", l.MemoryHigh}, {"memory_restart", l.MemoryRestart},
		{"swap", valueOf(l.Swap)},
	} {
		p.when(size.value < 0, "limits."+size.field, "", "is negative")
	}
	for _, lower := range []struct {
		field string
		value ByteSize
	}{{"memory_high", l.MemoryHigh}, {"memory_restart", l.MemoryRestart}} {
		if l.Memory > 0 && lower.value >= l.Memory {
			p.add("limits."+lower.field, "%s is never reached: memory ends at %s",
				lower.value, l.Memory)
		}
	}
	p.when(!(l.CPUs >= 0 && l.CPUs <= 10_000), "limits.cpus", "", "%v is not in 0 to 10000", l.CPUs)
	checkRange(p, "limits.cpu_weight", l.CPUWeight, 0, 10_000)
	checkRange(p, "limits.io_weight", l.IOWeight, 0, 10_000)
	checkRange(p, "limits.tasks", l.Tasks, 0, 1<<22) // PID_MAX_LIMIT
	checkRange(p, "fdstore", s.FDStore, 0, 4096)
	checkEnum(p, "orphan", s.Orphan)
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func checkRange(p *problems, field string, n, low, high int) {
	p.when(n < low || n > high, field, "", "%d is not in %d to %d", n, low, high)
}

func (l Log) check(p *problems) {
	seen := map[LogTarget]bool{}
	for i, target := range l.Targets {
		field := fmt.Sprintf("log.targets[%d]", i)
		p.err(field, target.check())
		p.when(target.Kind == TargetNone && len(l.Targets) > 1,
			field, "", "none excludes other targets")
		p.when(seen[target], field, "", "%q is there twice", target)
		seen[target] = true
	}
	checkPath(p, "log.file", l.File)
	checkPath(p, "log.error_file", l.ErrorFile)
	p.when(l.File != "" && l.File == l.ErrorFile,
		"log.error_file", "leave it out to join them", "is the same as log.file")
	checkRange(p, "log.mode", int(*l.Mode), 0, 0o777)
	p.when(*l.RotateSize < 0 || *l.Buffer < 0, "log", "", "a size is negative")
	checkNotNegative(p, "log.rotate_age", l.RotateAge)
	checkNotNegative(p, "log.keep_age", l.KeepAge)
	checkNotNegative(p, "log.max_wait", l.MaxWait)
	if l.MaxWait > Duration(time.Minute) {
		p.hint("log.max_wait", "block = true waits as long as it takes", "%s is more than a minute",
			l.MaxWait)
	}
	checkRange(p, "log.keep", *l.Keep, 0, 100_000)
	checkEnum(p, "log.compress", l.Compress)
	checkEnum(p, "log.timestamp", l.Timestamp)
	checkEnum(p, "log.format", l.Format)
	if _, ok := FacilityNumber(l.Facility); !ok {
		p.hint("log.facility", "daemon, user or local0 to local7", "%q is not a syslog facility",
			l.Facility)
	}
	if !l.RateLimit.valid() {
		p.add("log.rate_limit", "%s is not a rate", l.RateLimit)
	}
	for i, mask := range l.Mask {
		if _, err := regexp.Compile(mask); err != nil || mask == "" {
			p.add(fmt.Sprintf("log.mask[%d]", i), "%q is not a regular expression", mask)
		}
	}
}
