package spec

import (
	"strconv"
	"strings"
)

// instanceMark is what an instance's number replaces in texts. "{instance+N}" and "{instance-N}"
// are the number plus and minus N, which makes ports out of numbers; a mark in one more pair of
// braces stands for itself.
const instanceMark = "{instance}"

// withInstance puts the number n, or what it makes of it, in the place of every mark in text.
func withInstance(text string, n int) string {
	const begin = "{instance"
	var b strings.Builder
	for {
		at := strings.Index(text, begin)
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		offset, length := parseOffset(text[at+len(begin):])
		end := at + len(begin) + length
		switch {
		case length == 0: // no mark
			b.WriteString(text[:at+len(begin)])
			end = at + len(begin)
		case at > 0 && text[at-1] == '{' && strings.HasPrefix(text[end:], "}"):
			b.WriteString(text[:at-1] + text[at:end])
			end++
		default:
			b.WriteString(text[:at] + strconv.Itoa(n+offset))
		}
		text = text[end:]
	}
}

// parseOffset reads what follows "{instance": "}", or a sign, a number and "}". length is 0 for
// anything else.
func parseOffset(text string) (offset, length int) {
	inside, _, closed := strings.Cut(text, "}")
	switch {
	case !closed || len(inside) > len("+1000000"):
		return 0, 0
	case inside == "":
		return 0, 1
	case inside[0] != '+' && inside[0] != '-' || len(inside) == 1 ||
		strings.Trim(inside[1:], "0123456789") != "":
		return 0, 0
	}
	offset, err := strconv.Atoi(inside)
	if err != nil {
		return 0, 0
	}
	return offset, len(inside) + 1
}

// keepMarks has a text that is nobody's template come out of [withInstance] as it is: "{instance}"
// may be in the name of a directory.
func keepMarks(text string) string {
	const begin = "{instance"
	var b strings.Builder
	for {
		at := strings.Index(text, begin)
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		_, length := parseOffset(text[at+len(begin):])
		end := at + len(begin) + length
		if b.WriteString(text[:at]); length == 0 {
			b.WriteString(text[at:end])
		} else {
			b.WriteString("{" + text[at:end] + "}")
		}
		text = text[end:]
	}
}

// InstanceEnv is the variable that holds an instance's number.
const InstanceEnv = "INSTANCE"

// instanceName is the name of the n-th instance.
func instanceName(name string, n int) string { return name + "@" + strconv.Itoa(n) }

// BaseName returns the name without the number of the instance: "web" of
// "web@2". A name that was given an "@" by hand keeps it.
func (s Service) BaseName() string {
	if s.Instance > 0 {
		return strings.TrimSuffix(s.Name, "@"+strconv.Itoa(s.Instance))
	}
	return s.Name
}

// Expand returns the instances of s as services of their own, NAME@1 to
// NAME@N, or s alone if it has none. In each, the number replaces every
// "{instance}", and the number plus or minus N every "{instance+N}" and
// "{instance-N}", in Command, StopCommand, ReloadCommand, Env (values), EnvFile,
// Chdir, Chroot, Pidfile, Lockfile, Cgroup, Stdin, Stdout, Stderr, Ready,
// Liveness.Check, Log.File, Log.ErrorFile, the addresses of Sockets and
// Description, and is added to Env as INSTANCE. "{{instance}}" becomes
// "{instance}".
func (s Service) Expand() []Service {
	if s.Instances <= 0 {
		return []Service{s}
	}
	all := make([]Service, s.Instances)
	for i := range all {
		all[i] = s.instance(i + 1)
	}
	return all
}

func (s Service) instance(n int) Service {
	c := s.Clone()
	c.Name, c.Instance, c.Instances = instanceName(s.Name, n), n, 0
	replace := func(text *string) { *text = withInstance(*text, n) }
	for _, words := range [][]string{c.Command, c.StopCommand, c.ReloadCommand, c.EnvFile} {
		for i := range words {
			replace(&words[i])
		}
	}
	for _, text := range []*string{
		&c.Description, &c.Chdir, &c.Chroot, &c.Pidfile, &c.Lockfile, &c.Cgroup, &c.Stdin.Path,
		&c.Stdout.Path, &c.Stderr.Path,
		&c.Ready.Target, &c.Liveness.Check.Target, &c.Log.File, &c.Log.ErrorFile,
	} {
		replace(text)
	}
	for i := range c.Sockets {
		// The name stays that of the service: its instances look for one name.
		setZero(&c.Sockets[i].Name, s.Name)
		replace(&c.Sockets[i].Listen.Addr)
	}
	if c.Env == nil {
		c.Env = map[string]string{}
	}
	for name, value := range c.Env {
		replace(&value)
		c.Env[name] = value
	}
	c.Env[InstanceEnv] = strconv.Itoa(n)
	return c
}

// ExpandSet returns the instances of all services, each with its dependencies
// upon a service with instances turned into dependencies upon all of them. The
// instances of a service share these lists.
func ExpandSet(services []Service) []Service {
	instances := map[string][]string{}
	for _, s := range services {
		for n := 1; n <= min(s.Instances, maxInstances); n++ {
			instances[s.Name] = append(instances[s.Name], instanceName(s.Name, n))
		}
	}
	var all []Service
	for _, s := range services {
		s.Instances = min(s.Instances, maxInstances)
		for _, dep := range s.dependencyLists() {
			*dep.names = expandNames(*dep.names, instances)
		}
		for _, one := range s.Expand() {
			one.After, one.Requires, one.Wants = s.After, s.Requires, s.Wants
			all = append(all, one)
		}
	}
	return all
}

// expandNames puts the instances in the place of each name that has some, every
// name once.
func expandNames(names []string, instances map[string][]string) []string {
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		many, ok := instances[name]
		if !ok {
			many = []string{name}
		}
		for _, one := range many {
			if !seen[one] {
				out = append(out, one)
			}
			seen[one] = true
		}
	}
	return out
}
