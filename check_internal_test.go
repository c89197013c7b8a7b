package daemonry

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestFinallyWaitsForAnAnswer: a disk that has answered in the end is one like others.
func TestFinallyWaitsForAnAnswer(t *testing.T) {
	for range 100 {
		answered := make(chan struct{})
		close(answered)
		if got := finally(&disk{busy: answered}, func() int { return 7 }); got != 7 {
			t.Fatalf("got %d", got)
		}
	}
	silent := make(chan struct{})
	defer close(silent)
	if got := finally(&disk{busy: silent}, func() int { return 7 }); got != 0 {
		t.Errorf("one that has not: %d", got)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile("there", nil, 0o600), os.WriteFile("other", nil, 0o600),
		os.Symlink("there", "link"), os.Link("there", "hard"), os.Mkdir("sub", 0o700),
		os.Symlink("sub", "alias"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	const none = 1<<32 - 1
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, ""},
		{Options{Umask: new(0)}, ""},
		{Options{Umask: new(0o777)}, ""},
		{Options{Umask: new(-1)}, "umask -1: below 0"},
		{Options{Umask: new(0o1000)}, "umask 01000: above 0777"},
		{Options{User: &User{UID: none - 1, GID: none - 1}}, ""},
		{Options{User: &User{UID: none, GID: 1}}, "user 4294967295:1: 4294967295 is no id"},
		{Options{User: &User{UID: 1, GID: none}}, "user 1:4294967295: 4294967295 is no id"},
		{Options{PIDFile: "a", LogFile: "b"}, ""},
		{Options{PIDFile: "there", LogFile: "other"}, ""},
		{Options{PIDFile: "sub/a", LogFile: "a"}, ""},
		{Options{PIDFile: "a", LogFile: "a"}, "pid file and log file are both " + in("a")},
		{Options{PIDFile: "sub/../a", LogFile: in("a")},
			"pid file and log file are both " + in("a")},
		{Options{PIDFile: "link", LogFile: "there"},
			"pid file " + in("link") + " and log file " + in("there") + " are the same file"},
		{Options{PIDFile: "there", LogFile: "hard"},
			"pid file " + in("there") + " and log file " + in("hard") + " are the same file"},
		{Options{PIDFile: "sub/new", LogFile: "alias/new"},
			"pid file " + in("sub/new") + " and log file " + in("alias/new") +
				" are the same file"},
		{Options{PIDFile: "a", PIDFileMode: 0o600, LogFile: "b", LogFileMode: 0o660}, ""},
		{Options{PIDFile: "a", PIDFileMode: 0o646},
			"mode 0646 of the pid file: everybody could write to it"},
		{Options{LogFile: "a", LogFileMode: 0o666},
			"mode 0666 of the log file: everybody could write to it"},
		{Options{LogFile: "a", LogFileMode: 0o640 | os.ModeSetuid},
			"mode 040000640 of the log file: more than permissions"},
		{Options{PIDFile: "a", PIDFileMode: 0o4644},
			"mode 04644 of the pid file: more than permissions"},
		{Options{ReadyFD: -1}, "Options.ReadyFD is negative: -1"},
		{Options{PIDFile: "a\x00b"}, `Options.PIDFile has a NUL byte in it: "a\x00b"`},
		{Options{LogFile: "\x00"}, `Options.LogFile has a NUL byte in it: "\x00"`},
		{Options{ErrFile: "a\x00"}, `Options.ErrFile has a NUL byte in it: "a\x00"`},
		{Options{Chroot: "/\x00"}, `Options.Chroot has a NUL byte in it: "/\x00"`},
		{Options{Dir: "/a\x00/"}, `Options.Dir has a NUL byte in it: "/a\x00/"`},
	} {
		err := c.o.check()
		refused := err != nil
		if !refused {
			_, err = c.o.plan(t.Context())
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
		if !refused {
			continue
		}
		// It comes before all else. If it did not, a context that has ended would keep Detach from
		// running these tests again as a daemon, which would do the same.
		c.o.Background = true
		proc, err := Detach(ended, c.o)
		if le, ok := err.(*LaunchError); proc != nil || !ok || le.ExitStatus() != 125 ||
			err.Error() != "prepare: "+c.want {
			t.Errorf("%+v: Detach says %v", c.o, err)
		}
	}
	if left, _ := filepath.Glob("*"); len(left) != 6 {
		t.Errorf("something was touched: %v", left)
	}
}
