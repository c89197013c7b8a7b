package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plant makes a tree: "path" is a directory, "path=text" a file, "path->target" a link.
func plant(t *testing.T, root string, entries ...string) {
	t.Helper()
	for _, e := range entries {
		path, target, link := strings.Cut(e, "->")
		name, text, file := strings.Cut(path, "=")
		name = filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, name)
		case file:
			err = os.WriteFile(name, []byte(text), 0o644)
		default:
			err = os.MkdirAll(name, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDetectRunning(t *testing.T) {
	for name, test := range map[string]struct {
		tree []string
		want System
		by   string
	}{
		"systemd": {[]string{"run/systemd/system", "proc/1/comm=systemd\n"},
			Systemd, "/run/systemd/system"},
		"systemd files, no boot": {[]string{"run/systemd/units", "proc/1/comm=sleep\n"}, None,
			`process 1 is "sleep"`},
		"systemd as a mere tool": {[]string{
			"lib/systemd/systemd=x", "proc/1/comm=init\n", "proc/1/exe->/sbin/init", "sbin/init=x",
			"etc/inittab=si::sysinit:/etc/init.d/rcS\nl2:2:wait:/etc/init.d/rc 2\n", "etc/init.d",
		}, SysV, "/etc/init.d/rc"},
		"init is systemd by link": {
			[]string{"proc/1/comm=init\n", "proc/1/exe->/lib/systemd/systemd"}, Systemd,
			"its program is /lib/systemd/systemd",
		},
		"runit":       {[]string{"proc/1/comm=runit\n"}, Runit, `"runit"`},
		"s6":          {[]string{"proc/1/comm=s6-svscan\n"}, S6, `"s6-svscan"`},
		"openrc-init": {[]string{"proc/1/comm=openrc-init\n"}, OpenRC, `"openrc-init"`},
		"openrc under busybox": {
			[]string{"proc/1/comm=init\n", "proc/1/exe->/bin/busybox", "run/openrc"}, OpenRC,
			"/run/openrc",
		},
		"a container": {[]string{"proc/1/comm=tini\n", "sbin/init->/lib/systemd/systemd"},
			None, `"tini"`},
		"nothing": {nil, None, `""`},
	} {
		root := t.TempDir()
		plant(t, root, test.tree...)
		got, evidence := tree(root).running()
		if got != test.want || !strings.Contains(strings.Join(evidence, "; "), test.by) {
			t.Errorf("%s: %q, %q", name, got, evidence)
		}
	}
}

func TestDetectTree(t *testing.T) {
	const sysv = "etc/inittab=l2:2:wait:/etc/init.d/rc 2\n"
	for name, test := range map[string]struct {
		tree []string
		want System
	}{
		"systemd, merged /usr": {[]string{"sbin->usr/sbin", "usr/sbin/init->../lib/systemd/systemd",
			"usr/lib/systemd/systemd=x"}, Systemd},
		"systemd, absolute": {[]string{"sbin/init->/lib/systemd/systemd", "lib/systemd/systemd=x"},
			Systemd},
		"sysv": {[]string{"sbin/init=ELF", sysv, "etc/init.d"}, SysV},
		"sysv with runit": {
			[]string{"sbin/init=ELF", sysv + "SV:123456:respawn:/usr/bin/runsvdir\n", "etc/init.d"},
			SysV,
		},
		"openrc": {
			[]string{"sbin/init=ELF", "etc/inittab=l0:0:wait:/sbin/openrc shutdown\n"}, OpenRC,
		},
		"alpine": {[]string{"sbin/init->/bin/busybox", "bin/busybox=x",
			"etc/inittab=::sysinit:/sbin/openrc sysinit\n"}, OpenRC},
		"void": {[]string{"sbin/init->runit-init", "sbin/runit-init=x"}, Runit},
		"s6-linux-init": {[]string{"sbin/init=#!/bin/execlineb -S0\ns6-linux-init -c /etc\n"},
			S6},
		"freebsd": {[]string{"sbin/init=ELF", "etc/rc.subr=x", "etc/defaults/rc.conf=x"},
			FreeBSD},
		"macos":             {[]string{"sbin/launchd=x"}, Launchd},
		"a container image": {[]string{"bin/sh=x"}, None},
		"a loop":            {[]string{"sbin/init->init"}, None},
		"what runs outside": {[]string{"run/systemd/system", "proc/1/comm=systemd\n",
			"sbin/init=ELF", sysv, "etc/init.d"}, SysV},
	} {
		root := t.TempDir()
		plant(t, root, test.tree...)
		if got, evidence := Detect(root); got != test.want || len(evidence) == 0 {
			t.Errorf("%s: %q, %q", name, got, evidence)
		}
	}
}
