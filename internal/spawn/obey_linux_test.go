package spawn

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

// TestObeysNobodyWithLessPower speaks to programs that have more rights than who speaks: one that
// is set-user-ID, and one that root runs for somebody, as sudo(8) does, with that one's standard
// input.
func TestObeysNobodyWithLessPower(t *testing.T) {
	if os.Geteuid() != 0 {
		orders := pairOf(t, uint32(os.Geteuid()))
		ours := sys.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
		if said, uid := command(t, "/proc/self/exe", ours, orders); uid != ours.UID {
			t.Errorf("a user's own program did not obey: uid %d, %s", uid, said)
		}
		return
	}
	proctest.CheckLeaks(t)
	const nobody = 65534
	private := filepath.Join(t.TempDir(), "program")
	copyProgram(t, private, 0o755)
	set := filepath.Join(t.TempDir(), "set-user-id")
	copyProgram(t, set, 0o755|os.ModeSetuid)
	group := filepath.Join(t.TempDir(), "set-group-id")
	copyProgram(t, group, 0o755|os.ModeSetgid)
	for _, c := range []struct {
		name    string
		program string
		as      sys.Credential
		from    uint32
		obeys   bool
	}{
		{"root's own", private, sys.Credential{}, 0, true},
		{"an ordinary user's own", private, sys.Credential{UID: nobody, GID: nobody}, nobody, true},
		{"root's, for an ordinary user", private,
			sys.Credential{UID: nobody, GID: nobody}, 0, true},
		{"root runs it for nobody", private, sys.Credential{}, nobody, false},
		{"another user's", private, sys.Credential{UID: 1, GID: 1}, nobody, false},
		{"set-user-ID", set, sys.Credential{UID: nobody, GID: nobody}, nobody, false},
		{"set-group-ID", group, sys.Credential{UID: nobody, GID: nobody}, nobody, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, uid := command(t, c.program, c.as, pairOf(t, c.from))
			switch {
			case c.obeys && uid != c.as.UID:
				t.Errorf("it did not obey: uid %d, %s", uid, said)
			case !c.obeys && uid != refused:
				t.Errorf("it obeyed, and executed a program as user %d", uid)
			case !c.obeys &&
				!strings.Contains(said, "daemonry: take orders on standard input: refused: "):
				t.Errorf("it said %q", said)
			}
		})
	}
}

// refused is what command returns for the user if nothing was executed.
const refused = ^uint32(0)

// copyProgram copies this program to a place where others can execute it.
func copyProgram(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	image, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(path, image, 0o755)
	}
	for dir := filepath.Dir(path); err == nil && dir != os.TempDir() &&
		dir != "/"; dir = filepath.Dir(dir) {
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pairOf returns a pair of sockets that this user has made.
func pairOf(t *testing.T, uid uint32) (pair [2]*os.File) {
	t.Helper()
	made := make(chan error)
	sys.OnThread(func() {
		if uint32(os.Geteuid()) != uid {
			err := sys.SetThreadCredential(sys.Credential{UID: uid, GID: uid}, sys.DropCaps)
			if err != nil {
				made <- err
				return
			}
		}
		a, b, err := sys.NewChannel()
		if err == nil {
			pair = [2]*os.File{os.NewFile(uintptr(a), "ours"), os.NewFile(uintptr(b), "theirs")}
		}
		made <- err
	})
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pair[0].Close(); pair[1].Close() })
	return pair
}

// command has the program execute id(1) by way of a stage, and returns what it said and who it was.
func command(
	t *testing.T, program string, as sys.Credential, pair [2]*os.File,
) (said string, uid uint32) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	d := (&Spec{
		Path: "/bin/sh", Args: []string{"sh", "-c", "id -u >&3"},
		Env: []string{"PATH=/bin:/usr/bin"}, Files: []File{{1, out}, {2, out}, {3, out}},
	}).describe()
	payload, files := d.encode()
	o := &orders{stageMagic, payload, files}
	if err := o.send(sys.Channel(pair[0].Fd()), sys.Channel(pair[1].Fd())); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Args[0] = stageName // were it refused without an end, main would run all tests anew
	cmd.Stdin = pair[1]
	var words strings.Builder
	cmd.Stdout, cmd.Stderr = &words, &words
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: as.UID, Gid: as.GID, Groups: as.Groups},
		}
	}
	cmd.Dir = "/"
	_ = cmd.Run() // what it printed tells
	b := make([]byte, 64)
	n, err := out.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 32)
	if err != nil {
		return fmt.Sprintf("%s%s", words.String(), b[:n]), refused
	}
	return words.String(), uint32(id)
}
