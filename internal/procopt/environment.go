package procopt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	env := map[string]string{}
	for _, kv := range base {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" || spawn.IsMark(name) {
			continue
		}
		if p.ClearEnv && name != "PATH" && !slices.Contains(p.PassEnv, name) {
			continue
		}
		env[name] = value
	}
	if p.ClearEnv && env["PATH"] == "" {
		env["PATH"] = defaultPath
	}
	if account != nil {
		env["HOME"], env["SHELL"] = account.Home, account.Shell
		env["USER"], env["LOGNAME"] = account.Name, account.Name
	}
	for _, path := range p.EnvFile {
		vars, err := readEnvFile(path)
		if err != nil {
			return nil, err
		}
		for _, kv := range vars {
			name, value, _ := strings.Cut(kv, "=")
			env[name] = value
		}
	}
	maps.Copy(env, p.Env)
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list, nil
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
