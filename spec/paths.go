package spec

import (
	"path"
	"strings"
)

// Resolve returns a copy of s whose relative paths are taken from dir, which
// must be absolute: the directory of the file s was read from. Chdir becomes
// dir itself if it is not set. With a Chroot, Chdir is inside it and "/" by
// default; the paths of Ready, Liveness and Sockets are opened by the
// supervisor, so outside. Command is left alone: a program with a slash is
// relative to Chdir, as everywhere. What looks like a mark in dir is not one.
func (s Service) Resolve(dir string) Service {
	s = s.Clone()
	plain := dir
	if s.Instances > 0 {
		dir = keepMarks(dir)
	}
	from := func(name *string) {
		if *name != "" && !path.IsAbs(*name) {
			*name = path.Join(dir, *name)
		} else if *name != "" {
			*name = path.Clean(*name)
		}
	}
	switch {
	case s.Chroot == "" && s.Chdir == "":
		s.Chdir = dir
	case s.Chroot == "":
		from(&s.Chdir)
	case !path.IsAbs(s.Chdir):
		s.Chdir = path.Join("/", s.Chdir)
	}
	for _, name := range []*string{
		&s.Chroot, &s.Pidfile, &s.Lockfile, &s.Cgroup, &s.Stdin.Path, &s.Stdout.Path,
		&s.Stderr.Path, &s.Log.File, &s.Log.ErrorFile,
	} {
		from(name)
	}
	for i, file := range s.EnvFile {
		name, optional := strings.CutPrefix(file, "-")
		from(&name)
		if optional {
			name = "-" + name
		}
		s.EnvFile[i] = name
	}
	for i := range s.Sockets {
		if s.Sockets[i].Listen.Path() != "" {
			from(&s.Sockets[i].Listen.Addr)
		}
	}
	for _, probe := range []*Probe{&s.Ready, &s.Liveness.Check} {
		if name := probe.path(); name != nil {
			from(name)
		}
	}
	dir = plain // for instances have no paths of their own there
	for _, list := range [][]string{
		s.Sandbox.ReadWrite, s.Sandbox.ReadOnly, s.Sandbox.Inaccessible,
	} {
		for i := range list {
			from(&list[i])
		}
	}
	return s
}
