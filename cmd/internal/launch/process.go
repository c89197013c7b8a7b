// Package launch turns a service's description into what spawn starts and how it is learned that it
// is ready.
package launch

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/internal/spawn"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// Describe sets in s what p says of a process that runs argv, but for its descriptors (see
// OpenStreams and NewWatch). Its environment is made from base, and a relative program with a slash
// begins in dir. It waits for files until ctx ends.
func Describe(
	ctx context.Context, s *spawn.Spec, p spec.Process, argv spec.Command,
	base []string, dir string,
) (err error) {
	if err := fill(ctx, s, p, base); err != nil {
		return err
	}
	s.Args = slices.Clone(argv)
	s.Path, err = program(ctx, argv, s.Env, p.Chroot, dir)
	return err
}

// fill sets what p says of the process in s. It waits for files until ctx ends.
func fill(ctx context.Context, s *spawn.Spec, p spec.Process, base []string) (err error) {
	var account *Account
	if p.User != "" {
		if account, err = LookupAccount(p.User); err != nil {
			return err
		}
		if err := account.keep(p); err != nil {
			return err
		}
		s.Credential = &account.Credential
	}
	if len(p.Groups) > 0 {
		if s.Credential == nil {
			return fmt.Errorf("groups: only together with a user")
		}
		if s.Credential.Groups, err = lookupGroups(p.Groups); err != nil {
			return err
		}
	}
	if s.Env, err = environment(ctx, p, base, account); err != nil {
		return err
	}
	if s.Rlimits, err = rlimits(p.Rlimit); err != nil {
		return err
	}
	if s.Caps, err = capabilities(p.Cap); err != nil {
		return err
	}
	if p.Umask != nil {
		s.Umask = new(int(*p.Umask))
	}
	s.Nice, s.OOMScoreAdj = p.Nice, p.OOMScore
	s.Chroot, s.Dir = p.Chroot, p.Chdir
	s.NoNewPrivs, s.Cgroup = p.NoNewPrivs, p.Cgroup
	return nil
}

// program finds the executable of command, which is searched for in the PATH of env inside the
// directory chroot. dir is where a relative name with a slash begins. It waits for a file system
// until ctx ends.
func program(
	ctx context.Context, command spec.Command, env []string, chroot, dir string,
) (string, error) {
	name := command[0]
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	path := defaultPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v // the last one counts, as in environment
		}
	}
	look := func() (string, error) { return spawn.LookPath(name, path, chroot) }
	return sys.Within(ctx, "program "+name, look, nil)
}

// defaultPath is where programs are without a PATH, as daemonize and cron have it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func rlimits(limits map[spec.RlimitName]spec.Rlimit) ([]spawn.Rlimit, error) {
	var list []spawn.Rlimit
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		number, ok := sys.RlimitNumber(string(name))
		if !ok {
			return nil, fmt.Errorf("limit %s: not known on this system", name)
		}
		l := limits[name]
		list = append(list, spawn.Rlimit{
			Name: string(name), Resource: number, Limit: sys.Rlimit{Soft: l.Soft, Hard: l.Hard},
		})
	}
	return list, nil
}

// capabilities reads names; a nil list is no wish, an empty one no capabilities.
func capabilities(names []string) (*sys.CapSet, error) {
	if names == nil {
		return nil, nil
	}
	var set sys.CapSet
	for _, name := range names {
		n, ok := spec.CapabilityNumber(name)
		if !ok {
			return nil, fmt.Errorf("capability %q: no such capability", name)
		}
		set |= 1 << n
	}
	return &set, nil
}
