package boottest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mirror is what the trees are made from.
const mirror = "http://deb.debian.org/debian"

// base is the tree that all systems share: Debian without an init.
var base string

// debootstrap makes it. What is left of an attempt that failed may have things
// mounted in it: the next one has a tree of its own.
func debootstrap() error {
	return download(func(ctx context.Context, attempt int) error {
		upper := filepath.Join(dir, "base"+strconv.Itoa(attempt))
		root, lower := upper+".root", upper+".empty"
		if err := os.MkdirAll(lower, 0o755); err != nil {
			return err
		}
		if err := overlay(root, upper, lower); err != nil {
			return err
		}
		if err := run(exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "bookworm", root,
			mirror)); err != nil {
			return err
		}
		base = upper
		return syscall.Unmount(root, 0)
	})
}

// attempts is how often something is downloaded: a mirror, or the way there,
// fails now and then. downloadTime ends what hangs, and is more than a busy
// machine takes to unpack it.
const (
	attempts     = 3
	downloadTime = 15 * time.Minute
)

// download tries until it succeeds, with a pause that grows.
func download(do func(ctx context.Context, attempt int) error) error {
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithTimeout(context.Background(), downloadTime)
		err := do(ctx, attempt)
		cancel()
		if err == nil || attempt == attempts {
			return err
		}
		fmt.Fprintf(os.Stderr, "boottest: attempt %d of %d: %v\n", attempt, attempts, err)
		time.Sleep(time.Duration(attempt) * 5 * time.Second)
	}
}

// run runs a command; the error has its last words.
func run(cmd *exec.Cmd) error {
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, last(out, 20))
	}
	return nil
}

// system is Debian with one init system.
type system struct {
	name     string
	packages string
	// tells means that init says over NOTIFY_SOCKET when the boot is over.
	tells bool
	// finish prepares the tree.
	finish func(t *testing.T, root *os.Root)

	once  sync.Once
	upper string // what it has over the base
}

var (
	systemdSystem = &system{
		name:     "systemd",
		packages: "systemd systemd-sysv dbus libpam-systemd",
		tells:    true,
	}
	sysvSystem   = &system{name: "sysv", packages: "sysvinit-core initscripts", finish: sayBooted}
	openrcSystem = &system{name: "openrc", packages: "openrc sysvinit-core", finish: sayBooted}
	runitSystem  = &system{name: "runit", packages: "runit-init runit", finish: sayServices}
)

// booted is the file that init makes behind the last script of the boot, where
// there is no better sign.
const booted = "/run/booted"

// sayBooted adds to inittab(5) what is done when the entries with "wait" before
// it are done.
func sayBooted(t *testing.T, root *os.Root) {
	table, err := root.ReadFile("etc/inittab")
	if err == nil {
		err = root.WriteFile("etc/inittab",
			append(table, "ok:2345:once:/bin/touch "+booted+"\n"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sayServices adds a service, for the boot of runit is over when services run:
// before that it hears no wish for a reboot.
func sayServices(t *testing.T, root *os.Root) {
	err := root.MkdirAll("etc/sv/booted", 0o755)
	if err == nil {
		err = root.WriteFile("etc/sv/booted/run",
			[]byte("#!/bin/sh\ntouch "+booted+"\nexec sleep infinity\n"), 0o755)
	}
	if err == nil {
		err = root.Symlink("/etc/sv/booted", "etc/runit/runsvdir/default/booted")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// layer installs the packages, once.
func (s *system) layer(t *testing.T) string {
	t.Helper()
	s.once.Do(func() {
		upper, root := filepath.Join(dir, s.name), filepath.Join(dir, s.name+".root")
		mount(t, root, upper, base)
		defer unmount(t, root)
		// An os.Root does not follow links out of the tree, as those of Debian
		// with absolute paths would lead.
		tree := openRoot(t, root)
		defer tree.Close()
		// Nothing is to be started in the chroot (invoke-rc.d).
		policy := "usr/sbin/policy-rc.d"
		put(t, tree, policy, "#!/bin/sh\nexit 101\n", 0o755)
		if err := s.install(root); err != nil {
			t.Fatal(err)
		}
		if err := tree.Remove(policy); err != nil {
			t.Fatal(err)
		}
		copyFile(t, filepath.Join(dir, "daemonry"), tree, "/usr/local/bin/daemonry")
		put(t, tree, probeOut+"/README", "written by the programs of the services\n", 0o644)
		if err := tree.Chmod(probeOut[1:], 0o777); err != nil { // users write there too
			t.Fatal(err)
		}
		if s.finish != nil {
			s.finish(t, tree)
		}
		s.upper = upper
	})
	if s.upper == "" {
		t.Fatalf("the tree of %s could not be made", s.name)
	}
	return s.upper
}

// install installs the packages of a system. What one attempt began, the next
// one ends; and it asks for the list anew, for the mirror may have changed since.
func (s *system) install(root string) error {
	return download(func(ctx context.Context, attempt int) error {
		apt := func(words ...string) error {
			cmd := exec.CommandContext(ctx, "chroot",
				append([]string{root, "apt-get", "-y", "-q", "-o", "Acquire::Retries=3"},
					words...)...)
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
			return run(cmd)
		}
		if attempt > 1 {
			if err := run(exec.CommandContext(ctx, "chroot", root, "dpkg", "--configure",
				"-a")); err != nil {
				return err
			}
			if err := apt("update"); err != nil {
				return err
			}
		}
		return apt(append([]string{"--no-install-recommends", "install"},
			strings.Fields(s.packages)...)...)
	})
}

// overlay puts a writable layer on top of others, the uppermost first. It is
// volatile: what is synced goes nowhere, for it needs to outlive nothing, and
// four package managers that sync keep a slow disk from all else.
func overlay(root, upper string, lower ...string) error {
	work := root + ".work"
	for _, d := range []string{root, upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,volatile",
		strings.Join(lower, ":"), upper, work)
	if err := syscall.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay on %s: %w", root, err)
	}
	return nil
}

func mount(t *testing.T, root, upper string, lower ...string) {
	t.Helper()
	if err := overlay(root, upper, lower...); err != nil {
		t.Fatal(err)
	}
}

func unmount(t *testing.T, root string) {
	t.Helper()
	if err := syscall.Unmount(root, 0); err != nil {
		t.Errorf("unmount %s: %v", root, err)
	}
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// put writes a file of a tree, with its directories. Its path is absolute as
// seen from there.
func put(t *testing.T, root *os.Root, path, content string, mode fs.FileMode) {
	t.Helper()
	name := strings.TrimPrefix(path, "/")
	err := root.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = root.WriteFile(name, []byte(content), mode)
	}
	if err == nil {
		err = root.Chmod(name, mode) // whatever the umask is
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from string, root *os.Root, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, to, string(data), 0o755)
}

// last returns the last n lines of a text.
func last(text []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
