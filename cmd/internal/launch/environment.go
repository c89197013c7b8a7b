package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// environment builds the environment of a process. Later sources win over earlier ones:
//
//  1. base without marks; with ClearEnv only PATH and what PassEnv names
//  2. HOME, USER, LOGNAME and SHELL of account, if there is one
//  3. EnvFile, in order, each opened as OpenInput does it for account
//  4. Env
//
// A file system that does not answer is waited for until ctx ends (sys.StuckError).
func environment(
	ctx context.Context, p spec.Process, base []string, account *Account,
) ([]string, error) {
	env := make([]string, 0, len(base)+len(p.Env)+5)
	if p.ClearEnv {
		env = append(env, "PATH="+defaultPath)
	}
	for _, kv := range base {
		name, value, _ := strings.Cut(kv, "=")
		if !inherits(kv) {
			continue
		}
		if p.ClearEnv &&
			(name == "PATH" && value == "" || name != "PATH" && !slices.Contains(p.PassEnv, name)) {
			continue
		}
		env = append(env, kv)
	}
	if account != nil {
		env = append(env, "HOME="+account.Home, "SHELL="+account.Shell, "USER="+account.Name,
			"LOGNAME="+account.Name)
	}
	for _, path := range p.EnvFile {
		vars, err := readEnvFile(ctx, path, account)
		if err != nil {
			return nil, err
		}
		env = append(env, vars...)
	}
	for name, value := range p.Env {
		env = append(env, name+"="+value)
	}
	return lastOfEach(env), nil
}

// inherits says whether a process may have a variable of ours: it is one, and none of our marks.
func inherits(kv string) bool {
	name, _, ok := strings.Cut(kv, "=")
	return ok && name != "" && !spawn.IsMark(name)
}

// Inherited returns those of a process's variables that others inherit from it, sorted by name. A
// NUL, which no process can have in one, is somebody's invention.
func Inherited(vars []string) []string {
	return lastOfEach(slices.DeleteFunc(slices.Clone(vars), func(kv string) bool {
		return !inherits(kv) || strings.Contains(kv, "\x00")
	}))
}

// lastOfEach sorts variables by name and drops all but the last of each. It takes no map to do it:
// every start needs it.
func lastOfEach(env []string) []string {
	slices.SortStableFunc(env,
		func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) })
	list := env[:0]
	for i, kv := range env {
		if i == len(env)-1 || nameOf(kv) != nameOf(env[i+1]) {
			list = append(list, kv)
		}
	}
	return list
}

func nameOf(kv string) string {
	name, _, _ := strings.Cut(kv, "=")
	return name
}

// maxEnvFile bounds an environment file: the kernel takes no environment this large (execve(2),
// "Limits").
const maxEnvFile = 8 << 20

// readEnvFile reads one. Its errors say nothing of what is in it: they go to logs, and to whoever
// asks for a status.
func readEnvFile(ctx context.Context, path string, account *Account) ([]string, error) {
	path, optional := strings.CutPrefix(path, "-")
	var user *sys.Credential
	if account != nil {
		user = &account.Credential
	}
	text, err := sys.Within(ctx, "env file "+path,
		func() (string, error) { return readText(path, user) }, nil)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if _, stuck := errors.AsType[*sys.StuckError](err); stuck {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("env file: %w", err)
	}
	vars, err := spec.ParseEnv(text)
	if err != nil {
		return nil, fmt.Errorf("env file %s: %w", path, err)
	}
	return vars, nil
}

func readText(path string, user *sys.Credential) (string, error) {
	f, err := sys.OpenInput(path, user)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// A FIFO is open for writing as well, so there would be no end to it. A shell's <(command) is
	// none: it has no name.
	switch named, err := sys.NamedFIFO(f); {
	case err != nil:
		return "", err
	case named:
		return "", fmt.Errorf("%s: it is a FIFO, not a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxEnvFile {
		return "", fmt.Errorf("%s: larger than %d bytes", path, maxEnvFile)
	}
	return string(text), nil
}
