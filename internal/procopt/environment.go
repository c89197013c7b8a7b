package procopt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/spec"
)

// Environment builds the environment of a process. Later sources win over earlier ones:
//
//  1. base without marks; with ClearEnv only PATH and what PassEnv names
//  2. HOME, USER, LOGNAME and SHELL of account, if there is one
//  3. EnvFile, in order
//  4. Env
func Environment(p spec.Process, base []string, account *Account) ([]string, error) {
	env := make([]string, 0, len(base)+len(p.Env)+5)
	if p.ClearEnv {
		env = append(env, "PATH="+defaultPath)
	}
	for _, kv := range base {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" || spawn.IsMark(name) {
			continue
		}
		if p.ClearEnv && (name == "PATH" && value == "" || name != "PATH" && !slices.Contains(p.PassEnv, name)) {
			continue
		}
		env = append(env, kv)
	}
	if account != nil {
		env = append(env, "HOME="+account.Home, "SHELL="+account.Shell, "USER="+account.Name, "LOGNAME="+account.Name)
	}
	for _, path := range p.EnvFile {
		vars, err := readEnvFile(path)
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

// lastOfEach sorts variables by name and drops all but the last of each. It takes no map to do it: every start needs it.
func lastOfEach(env []string) []string {
	slices.SortStableFunc(env, func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) })
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

// maxEnvFile bounds an environment file: the kernel takes no environment this large (execve(2), "Limits").
const maxEnvFile = 8 << 20

func readEnvFile(path string) ([]string, error) {
	path, optional := strings.CutPrefix(path, "-")
	f, err := os.Open(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("env file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return nil, fmt.Errorf("env file: %w", err)
	}
	if len(text) > maxEnvFile {
		return nil, fmt.Errorf("env file %s: larger than %d bytes", path, maxEnvFile)
	}
	vars, err := spec.ParseEnv(string(text))
	if err != nil {
		return nil, fmt.Errorf("env file %s: %w", path, err)
	}
	return vars, nil
}
