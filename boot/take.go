package boot

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/boot"
	"github.com/daemonry/daemonry/spec"
)

// take puts what who installs has into the service.
func (s Service) take(svc *spec.Service, m *boot.Machine) error {
	if len(s.TakeEnv) > 0 {
		svc.Env = maps.Clone(svc.Env)
		if svc.Env == nil {
			svc.Env = map[string]string{}
		}
	}
	for _, name := range s.TakeEnv {
		value, set := os.LookupEnv(name)
		if _, said := svc.Env[name]; said {
			continue
		}
		if !set {
			return fmt.Errorf("TakeEnv: %s is not set", name)
		}
		if m.System == boot.Launchd && secret(name, value) {
			return fmt.Errorf("TakeEnv: %s looks like a secret, and launchd shows its variables "+
				"to everybody: have the program read it from a file", name)
		}
		svc.Env[name] = value
	}
	return nil
}

// args are those of the service.
func (s Service) args() ([]string, error) {
	if !s.TakeArgs {
		return s.Args, nil
	}
	var args []string
	if len(os.Args) > 1 {
		args = slices.Clone(os.Args[1:])
	}
	if i := slices.Index(args, "install"); i >= 0 {
		args = slices.Delete(args, i, i+1)
	}
	for i, arg := range args {
		option, value, joined := strings.Cut(arg, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		if strings.HasPrefix(option, "-") && secret(strings.Trim(option, "-"), value) {
			return nil, fmt.Errorf("TakeArgs: the value of %s looks like a secret, and everybody "+
				"may read a service's arguments: put it into a file, or into TakeEnv", option)
		}
	}
	return slices.Concat(s.Args, args), nil
}

// relative are arguments that name a file from here, which a service in another directory does not
// find.
func relative(args []string, chdir string) []string {
	var names []string
	for _, arg := range args {
		if option, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(option, "-") {
			arg = value
		}
		if arg == "" || filepath.IsAbs(arg) {
			continue
		}
		here, err := os.Stat(arg)
		if err != nil {
			continue
		}
		there, err := os.Stat(filepath.Join(chdir, arg))
		if err != nil || !os.SameFile(here, there) {
			names = append(names, arg)
		}
	}
	return names
}

// secretWords are in the names of variables and options whose values are secrets.
var secretWords = []string{
	"SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "API_KEY",
	"ACCESS_KEY", "PRIVATE_KEY",
}

// secret says whether a value looks like one that nobody else is to see: by its name, unless that
// is the name of a file, or because it is a URL with a password.
func secret(name, value string) bool {
	name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	for _, end := range []string{"FILE", "PATH", "DIR"} {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	if slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(name, w) }) ||
		strings.HasSuffix(name, "_PASS") || name == "PASS" {
		return value != ""
	}
	_, rest, ok := strings.Cut(value, "://")
	user, _, at := strings.Cut(rest, "@")
	_, password, colon := strings.Cut(user, ":")
	return ok && at && colon && password != "" && !strings.Contains(user, "/")
}
