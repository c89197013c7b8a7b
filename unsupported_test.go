//go:build !unix || aix

package daemonry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/boot"
	"github.com/daemonry/daemonry/listen"
	"github.com/daemonry/daemonry/notify"
	"github.com/daemonry/daemonry/pidfile"
	"github.com/daemonry/daemonry/spec"
	"github.com/daemonry/daemonry/upgrade"
)

// TestUnsupported: where there is no Unix a program in the foreground works, and all else says that
// it does not, whatever its options are.
func TestUnsupported(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	pid := filepath.Join(dir, "app.pid")
	unsupported := func(what string, err error) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	detach := func(o daemonry.Options) error {
		_, err := daemonry.Detach(ctx, o)
		return err
	}

	for _, o := range []daemonry.Options{
		{},
		{Capture: true},
		{PIDFile: pid},
		{LogFile: filepath.Join(dir, "app.log")},
	} {
		o.Background = true
		unsupported("Detach", detach(o))
	}
	err := errors.Join(detach(daemonry.Options{Foreground: true}), daemonry.Ready(),
		daemonry.ReopenLog(), daemonry.Release())
	if err != nil || daemonry.IsDaemon() || daemonry.Inherited() != nil {
		t.Errorf("in the foreground: %v", err)
	}

	_, err = daemonry.Find(pid)
	unsupported("Find", err)
	unsupported("Send", daemonry.DefaultCommands().Send(ctx, pid, "stop"))
	_, err = pidfile.Acquire(pid, pidfile.Options{})
	unsupported("Acquire", err)
	_, err = upgrade.New(upgrade.Options{Signal: syscall.SIGTERM})
	unsupported("upgrade", err)
	_, err = spec.Signal("TERM").Number()
	unsupported("number of a signal", err)
	_, err = boot.Service{}.Status(ctx)
	unsupported("boot", err)
	_, err = boot.Service{Spec: spec.Service{Name: "app"}}.Install(ctx)
	unsupported("boot", err)
	_, err = notify.Client{Socket: "/run/notify"}.Ready()
	unsupported("notify", err)
	_, err = notify.Client{Socket: "vsock:2:1"}.Ready()
	unsupported("notify", err)

	set, err := listen.Take()
	if err != nil {
		t.Fatal(err)
	}
	l, err := set.Listen("web", listen.Address{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = set.Listen("local",
		listen.Address{Network: "unix", Address: filepath.Join(dir, "socket")})
	unsupported("unix socket", err)
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	_, err = listen.Take()
	unsupported("inherited socket", err)
}
