// Package launchd writes property lists for launchd.
//
// The references are launchd.plist(5) and plist(5). The format is XML 1.0,
// which has no way to write most control characters: a service that needs one
// is refused.
package launchd

import (
	"encoding/xml"
	"fmt"
	"io/fs"
	"math/bits"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "launchd",
		About:   "property lists for launchd of macOS",
		Dir:     "/Library/LaunchDaemons",
		UserDir: "Library/LaunchAgents",
		Comment: func(text string) string { return "<!-- " + text + " -->" },
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"ready":     "launchd asks nobody: a job is up as soon as it runs",
	"timeout":   "left out: there is nothing that is waited for",
	"liveness":  "left out: launchd asks nobody",
	"env_file":  "left out: launchd reads no such files",
	"clear_env": "launchd gives a few variables of its own",
	"pass_env":  "left out: launchd passes on no variables",
	"backoff": "launchd waits the same time before every restart: that of backoff.first, in " +
		"whole seconds",
	"budget":   "left out: launchd restarts without a limit",
	"after":    "launchd orders nothing: a job must wait for what it needs",
	"requires": "launchd orders nothing: a job must wait for what it needs",
	"wants":    "launchd orders nothing: a job must wait for what it needs",
	"log":      "left out: the output goes to a file as it is; newsyslog(8) can rotate it",
	"sandbox":  "left out: launchd builds no sandbox",
	"limits":   "left out: launchd has limits of the process alone: rlimit",
	"sockets": "left out: launchd hands sockets over by launch_activate_socket(3), not as " +
		"LISTEN_FDS",
	"reload": "left out: launchctl kill sends any signal by hand",
	"orphan": "left out: there is no supervisor that could be gone",
}

// dict is a dictionary in its order.
type dict []pair

type pair struct {
	key   string
	value any // string, int, bool, []any, dict
}

func (d *dict) add(key string, value any) { *d = append(*d, pair{key, value}) }

func render(a *writers.Account, opts writers.Options) ([]writers.File, error) {
	var d dict
	label := "daemonry." + a.Name
	d.add("Label", label)
	a.Use("command", "type", "chdir", "chroot", "umask", "nice", "env", "user", "description")
	if program := a.Program(a.Command); program != a.Command[0] {
		d.add("Program", program)
	}
	d.add("ProgramArguments", anys(a.Command))
	if len(a.Env) > 0 {
		var env dict
		for _, name := range a.EnvNames() {
			env.add(name, a.Env[name])
		}
		d.add("EnvironmentVariables", env)
		a.Note("env",
			"the file is closed to others, but launchctl print shows the values to everybody")
	}
	a.NoteIf(a.Description != "", "description", "left out: a job has a label alone")
	identity(a, &d, opts)
	restarts(a, &d)
	streams(a, &d)
	limits(a, &d)
	if a.Schedule != (spec.Schedule{}) {
		d.add("StartCalendarInterval", calendar(a))
	}
	body, err := marshal(d)
	if err != nil {
		return nil, err
	}
	mode := fs.FileMode(0o644)
	if len(a.Env) > 0 {
		mode = 0o600 // launchd reads it as root, or as the user
	}
	return []writers.File{{Path: label + ".plist", Mode: mode, Content: body}}, nil
}

func identity(a *writers.Account, d *dict, opts writers.Options) {
	user, group := a.UserGroup()
	for _, id := range []struct{ field, key, value string }{
		{"user", "UserName", user}, {"user", "GroupName", group}, {"chroot",
			"RootDirectory", a.Chroot},
	} {
		switch {
		case id.value == "":
		case opts.User:
			a.Note(id.field, "%s is left out: an agent has no right to it", id.key)
		default:
			d.add(id.key, id.value)
		}
	}
	if user != "" && !opts.User {
		d.add("InitGroups", true)
	}
	d.add("WorkingDirectory", a.Chdir)
	d.add("Umask", int(*a.Umask))
	if a.Nice != nil {
		d.add("Nice", *a.Nice)
	}
}

// restarts says when the job runs. KeepAlive implies RunAtLoad.
func restarts(a *writers.Account, d *dict) {
	a.Use("restart", "autostart", "remain", "schedule", "stop", "stop_timeout", "stop_to",
		"backoff.first")
	a.NoteIf(a.Remain, "remain", "a job that has ended is not up for launchd")
	a.NoteIf(!a.Success.IsZero(), "success", "left out: 0 alone is success for launchd")
	scheduled := a.Schedule != (spec.Schedule{})
	if *a.Autostart && !scheduled {
		d.add("RunAtLoad", true)
		switch a.Restart {
		case spec.RestartAlways:
			d.add("KeepAlive", true)
		case spec.RestartOnFailure:
			d.add("KeepAlive", dict{{"SuccessfulExit", false}})
		}
	} else if a.Restart != spec.RestartNo {
		a.Note("restart", "left out: KeepAlive would start the job at load")
	}
	a.NoteIf(*a.Backoff.First == 0, "backoff.first", "launchd waits a second at least")
	d.add("ThrottleInterval", max(1, writers.Seconds(*a.Backoff.First)))
	d.add("ExitTimeOut", writers.Seconds(a.StopTotal()))
	a.NoteIf(len(a.Stop) > 1 || a.Stop[0].Signal != spec.DefaultStopSignal,
		"stop", "launchd sends TERM alone, and KILL when the time of all steps is over")
	a.NoteIf(a.StopTo == spec.StopAll,
		"stop_to", "launchd signals the process, and sends KILL to its group when it has ended")
}

func streams(a *writers.Account, d *dict) {
	a.Use("stdin", "stdout", "stderr", "log.targets", "log.file", "log.error_file")
	if a.Stdin.Kind == spec.StreamPath {
		d.add("StandardInPath", a.Stdin.Path)
	}
	out, err := a.OutputFiles()
	d.add("StandardOutPath", out)
	d.add("StandardErrorPath", err)
	a.NoteStreams()
}

var limitKeys = map[spec.RlimitName]string{
	"core": "Core", "cpu": "CPU", "data": "Data", "fsize": "FileSize", "memlock": "MemoryLock",
	"nofile": "NumberOfFiles",
	"nproc":  "NumberOfProcesses", "rss": "ResidentSetSize", "stack": "Stack",
}

func limits(a *writers.Account, d *dict) {
	a.Use("rlimit")
	var soft, hard dict
	for _, name := range spec.RlimitNames() {
		limit, ok := a.Rlimit[name]
		switch key := limitKeys[name]; {
		case !ok:
		case key == "":
			a.Note("rlimit", "%s is left out: launchd has no such limit", name)
		default:
			for _, one := range []struct {
				d     *dict
				value uint64
			}{{&soft, limit.Soft}, {&hard, limit.Hard}} {
				if one.value <= 1<<62 {
					one.d.add(key, int(one.value))
				} else {
					a.Note("rlimit", "%s: a limit that is none is left out", name)
				}
			}
		}
	}
	if len(soft) > 0 {
		d.add("SoftResourceLimits", soft)
	}
	if len(hard) > 0 {
		d.add("HardResourceLimits", hard)
	}
}

// calendar lists every combination, for an interval has one number of each
// kind; a kind that is not restricted is left out.
func calendar(a *writers.Account) []any {
	s := a.Schedule
	day, weekday := s.Restricted()
	kinds := []struct {
		key string
		set spec.Set
		all int
	}{{"Minute", s.Minute, 60}, {"Hour", s.Hour, 24}, {"Day", s.Day, 31}, {"Month", s.Month, 12},
		{"Weekday", s.Weekday, 7}}
	expand := func(skip string) []any {
		all := []any{dict{}}
		for _, k := range kinds {
			if k.key == skip || bits.OnesCount64(uint64(k.set)) == k.all {
				continue
			}
			var more []any
			for _, one := range all {
				for _, n := range k.set.Values() {
					more = append(more, append(append(dict{}, one.(dict)...), pair{k.key, n}))
				}
			}
			all = more
		}
		return all
	}
	if day && weekday {
		return append(expand("Weekday"), expand("Day")...)
	}
	return expand("")
}

func anys(words []string) []any {
	return writers.Each(words, func(word string) any { return word })
}

// marshal writes the list.
func marshal(d dict) ([]byte, error) {
	var b strings.Builder
	b.WriteString(xml.Header)
	b.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" ` +
		`"http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n")
	if err := value(&b, "", d); err != nil {
		return nil, err
	}
	b.WriteString("</plist>\n")
	return []byte(b.String()), nil
}

func value(b *strings.Builder, indent string, v any) error {
	switch v := v.(type) {
	case string:
		text, err := escape(v)
		fmt.Fprintf(b, "%s<string>%s</string>\n", indent, text)
		return err
	case int:
		fmt.Fprintf(b, "%s<integer>%d</integer>\n", indent, v)
	case bool:
		fmt.Fprintf(b, "%s<%t/>\n", indent, v)
	case []any:
		fmt.Fprintf(b, "%s<array>\n", indent)
		for _, one := range v {
			if err := value(b, indent+"\t", one); err != nil {
				return err
			}
		}
		fmt.Fprintf(b, "%s</array>\n", indent)
	case dict:
		fmt.Fprintf(b, "%s<dict>\n", indent)
		for _, p := range v {
			key, err := escape(p.key)
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "%s\t<key>%s</key>\n", indent, key)
			if err := value(b, indent+"\t", p.value); err != nil {
				return err
			}
		}
		fmt.Fprintf(b, "%s</dict>\n", indent)
	}
	return nil
}

// escape quotes text for XML. A carriage return must be a reference, or a parser
// makes a newline of it (XML 1.0, section 2.11); [xml.EscapeText] knows that.
func escape(text string) (string, error) {
	if r, bad := writers.FirstNot(text, inXML); bad {
		return "", fmt.Errorf("a property list cannot hold %U in %.40q", r, text)
	}
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}

// inXML is the production Char of XML 1.0.
func inXML(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xd7ff ||
		r >= 0xe000 && r <= 0xfffd || r >= 0x10000
}
