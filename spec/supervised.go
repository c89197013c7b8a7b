package spec

import (
	"fmt"
	"path"
	"slices"
)

// ValidateSupervised returns what our own supervisor cannot do for services that are right in
// themselves: fields that it gives no effect, and log files that two of them have. For another
// manager they may be just what is wanted, so [ValidateSet] lets them pass. beside are services
// that it has already, which are not judged. logDir is where the logs of services are that name no
// file; empty: they are in nobody's way.
//
// The services may have instances or be those that [ExpandSet] made.
func ValidateSupervised(services, beside []Service, logDir string) Problems {
	p := &problems{}
	for _, s := range services {
		p.service = s.Name
		s.checkSupervised(p)
	}
	return append(p.list, sameLogs(services, beside, logDir)...)
}

// checkSupervised refuses what would be ignored: who writes it relies on it.
func (s *Service) checkSupervised(p *problems) {
	const elsewhere = "leave it out; \"daemonry export\" gives it to managers that can"
	if s.Schedule != (Schedule{}) {
		p.hint("schedule", elsewhere, "has no effect under the supervisor, which has no timers")
	}
	p.when(!s.Sandbox.isZero(),
		"sandbox", elsewhere, "has no effect under the supervisor, which builds no sandbox")
	for _, file := range []struct{ field, path, why string }{
		{"pidfile", s.Pidfile, "its status has the pid"}, {"lockfile", s.Lockfile,
			"its name is the lock"},
	} {
		if file.path != "" {
			p.hint(file.field, "leave it out",
				"is for \"daemonry detach\": of a supervised service, %s", file.why)
		}
	}
	p.when(len(s.Groups) > 0 && s.User == "", "groups", "set user", "have no effect without a user")
}

// isZero says whether nothing is asked for. The default level is what other managers do unasked.
func (b Sandbox) isZero() bool {
	return b.Level != SandboxStrict && b.PrivateTmp == nil && b.PrivateDevices == nil &&
		b.PrivateNetwork == nil && b.ProtectSystem == "" && b.ProtectHome == "" &&
		b.MemoryDenyWriteExecute == nil && len(b.AddressFamilies) == 0 &&
		len(b.SystemCalls) == 0 && len(b.ReadWrite) == 0 && len(b.ReadOnly) == 0 &&
		len(b.Inaccessible) == 0
}

// sameLogs reports files that two services, or two instances of one, would have as their log: they
// would rotate it under each other.
func sameLogs(services, beside []Service, logDir string) Problems {
	owners := map[string]string{}
	for _, s := range beside {
		for _, one := range s.Expand() {
			for _, file := range one.logFiles(logDir) {
				owners[file.path] = one.Name
			}
		}
	}
	var list Problems
	for _, s := range services {
		told := map[string]bool{}
		own := map[string]bool{}
		for _, one := range s.Expand() {
			for _, file := range one.logFiles(logDir) {
				owner, taken := owners[file.path]
				if !taken {
					owners[file.path], own[file.path] = one.Name, true
				}
				if !taken || owner == one.Name || told[file.field] {
					continue
				}
				told[file.field] = true
				hint := ""
				if own[file.path] {
					hint = "put {instance} into it"
				}
				list = append(list, Problem{s.Name, file.field,
					fmt.Sprintf("%s is the log of %s already", file.path, owner), hint})
			}
		}
	}
	return list
}

type logFile struct{ field, path string }

// logFiles are the files that s, which has no instances, writes its log to.
func (s *Service) logFiles(logDir string) []logFile {
	file, errorFile := s.LogFiles(logDir)
	field := "log.file"
	if s.Log.File == "" {
		field = "log"
	}
	list := []logFile{{field, file}, {"log.error_file", errorFile}}
	return slices.DeleteFunc(list, func(f logFile) bool { return f.path == "" })
}

// LogExt ends the name of the log of a service that names no file.
const LogExt = ".log"

// LogFiles are the files that the output of s, which has no instances, is written to where its log
// has the target "file": file, and errorFile for what is standard error's alone; "" for none. dir
// is where the logs of services are that name no file, "" if that is not known.
func (s *Service) LogFiles(dir string) (file, errorFile string) {
	toFile := func(t LogTarget) bool { return t.Kind == TargetFile }
	if len(s.Log.Targets) > 0 && !slices.ContainsFunc(s.Log.Targets, toFile) {
		return "", ""
	}
	file = s.Log.File
	if file == "" && dir != "" {
		file = path.Join(dir, s.Name+LogExt)
	}
	return file, s.Log.ErrorFile
}
