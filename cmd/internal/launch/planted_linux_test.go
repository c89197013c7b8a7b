package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/spec"
)

// service is somebody whose program root starts, and a directory of theirs.
func service(t *testing.T) (*Account, string) {
	t.Helper()
	account, err := LookupAccount("nobody")
	if err != nil {
		t.Fatal(err)
	}
	// Not below t.TempDir, which nobody else may enter.
	dir, err := os.MkdirTemp("", "planted-")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(dir+"/theirs", 0o755),
			os.Mkdir(dir+"/ours", 0o755))
	}
	if err == nil && os.Geteuid() == 0 {
		err = os.Chown(dir+"/theirs", int(account.UID), int(account.GID))
	}
	if err != nil {
		t.Fatal(err)
	}
	return account, dir
}

// write makes a file with that mode and owner.
func write(t *testing.T, path, text string, mode fs.FileMode, uid int) string {
	t.Helper()
	err := os.WriteFile(path, []byte(text), mode)
	if err == nil && uid != 0 && os.Geteuid() == 0 {
		err = os.Chown(path, uid, -1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What a service's user has planted leads to nothing that this user could not read anyway.
func TestPlantedInput(t *testing.T) {
	proctest.CheckLeaks(t)
	account, dir := service(t)
	if os.Geteuid() != 0 {
		account = nil // nobody can be started but ourselves, whose files these all are
	}
	const secret = "TOKEN=s3cret\nhunter2\n"
	hidden := write(t, dir+"/ours/secret", secret, 0o600, 0)
	uid := 0
	if account != nil {
		uid = int(account.UID)
	}
	link, hard, fifo := dir+"/theirs/link", dir+"/theirs/hard", dir+"/theirs/fifo"
	err := errors.Join(os.Symlink(hidden, link), os.Lchown(link, uid, -1), os.Link(hidden, hard),
		syscall.Mkfifo(fifo, 0o600), os.Chown(fifo, uid, -1))
	if account == nil {
		err = errors.Join(os.RemoveAll(link), os.Symlink(hidden, link))
	}
	if err != nil && account != nil {
		t.Fatal(err)
	}
	env := func(path string) ([]string, error) {
		return environment(t.Context(),
			spec.Process{ClearEnv: true, EnvFile: []string{path}}, nil, account)
	}
	stdin := func(path string) (string, error) {
		var user *sys.Credential
		if account != nil {
			user = &account.Credential
		}
		s, err := OpenStreams(t.Context(),
			spec.Process{Stdin: spec.Stream{Kind: spec.StreamPath, Path: path}}, user, nil)
		if err != nil {
			return "", err
		}
		defer s.Close()
		b, err := io.ReadAll(s.Files[0].Source)
		return string(b), err
	}
	// A file of ours that everybody may read, and to which nothing leads but what we have open.
	planted := []string{link, hard}
	memory, err := sys.MemoryFile("secret")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if _, err := memory.WriteString(secret); err != nil {
		t.Fatal(err)
	}
	if account != nil {
		open := dir + "/theirs/open"
		if err := errors.Join(os.Symlink(fmt.Sprintf("/proc/self/fd/%d", memory.Fd()), open),
			os.Lchown(open, uid, -1)); err != nil {
			t.Fatal(err)
		}
		planted = append(planted, open)
	}
	for _, path := range planted {
		for what, f := range map[string]func() error{
			"env file": func() error { _, err := env(path); return err },
			"stdin":    func() error { _, err := stdin(path); return err },
		} {
			err := f()
			if account != nil && !errors.Is(err, fs.ErrPermission) &&
				!errors.Is(err, syscall.ELOOP) {
				t.Errorf("%s %s: %v, want a refusal", what, path, err)
			}
			if err != nil &&
				(strings.Contains(err.Error(), "s3cret") ||
					strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("%s %s: the error says what is in the file: %v", what, path, err)
			}
		}
	}
	if _, err := env(fifo); err == nil || !strings.Contains(err.Error(), "FIFO") {
		t.Errorf("env file %s: %v", fifo, err)
	}

	// What a shell calls /dev/fd/63 is named by whoever describes the service, and is theirs to
	// give.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("A=1\n"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if text, err := stdin(fmt.Sprintf("/dev/fd/%d", r.Fd())); err != nil || text != "A=1\n" {
		t.Errorf("a pipe: %q, %v", text, err)
	}

	// Their own, and what root alone could have put there for them, are opened.
	for _, path := range []string{
		write(t, dir+"/theirs/own", "A=1\n", 0o600, uid),
		write(t, dir+"/ours/given", "A=1\n", 0o600, 0),
	} {
		if vars, err := env(path); err != nil || !strings.Contains(strings.Join(vars, " "), "A=1") {
			t.Errorf("env file %s: %q, %v", path, vars, err)
		}
		if text, err := stdin(path); err != nil || text != "A=1\n" {
			t.Errorf("stdin %s: %q, %v", path, text, err)
		}
	}
}

// No error says what is in a file: it may be somebody else's, and holds secrets in any case.
func TestEnvFileErrorsQuoteNothing(t *testing.T) {
	for _, text := range []string{
		"hunter2\n", "A='1' hunter2\n", "hunter2 x=1\n", "A='hunter2\n", "A=hunter2\x00\n",
	} {
		path := write(t, filepath.Join(t.TempDir(), "env"), text, 0o600, 0)
		_, err := environment(t.Context(), spec.Process{EnvFile: []string{path}}, nil, nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") ||
			!strings.Contains(err.Error(), path+": line 1: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A FIFO is opened whether anybody has its other end or not.
func TestFIFOs(t *testing.T) {
	proctest.CheckLeaks(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream := spec.Stream{Kind: spec.StreamPath, Path: fifo}
	for name, p := range map[string]spec.Process{
		"stdout": {Stdout: stream}, "stderr": {Stderr: stream},
		"truncate": {Stdout: spec.Stream{Kind: spec.StreamTruncate, Path: fifo}},
	} {
		if _, err := OpenStreams(ctx, p, nil, nil); !errors.Is(err, syscall.ENXIO) ||
			!strings.Contains(err.Error(), "nobody reads") {
			t.Errorf("%s without a reader: %v", name, err)
		}
	}

	in, err := OpenStreams(ctx, spec.Process{Stdin: stream}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for range 2 { // its second writer finds the reader still there
		out, err := OpenStreams(ctx, spec.Process{Stdout: stream}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Files[0].Source.WriteString("order\n"); err != nil {
			t.Error(err)
		}
		out.Close()
		b := make([]byte, 64)
		if n, err := in.Files[0].Source.Read(b); string(b[:n]) != "order\n" || err != nil {
			t.Errorf("read %q, %v", b[:n], err)
		}
	}
	conn, err := in.Files[0].Source.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Control(func(fd uintptr) {
		var flags int
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		if _, e := fmt.Sscanf(string(info), "pos:\t0\nflags:\t%o", &flags); err != nil ||
			e != nil || flags&syscall.O_NONBLOCK != 0 {
			t.Errorf("%q, %v, %v: the program would find its input non-blocking", info, err, e)
		}
	}); err != nil {
		t.Error(err)
	}
}

// A call that does not come back is given up, and what it gets in the end is given back.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hang, undone := make(chan struct{}), make(chan int, 1)
		_, err := sys.Within(ctx, "open /nfs/x", func() (int, error) { <-hang; return 7, nil },
			func(n int) { undone <- n })
		stuck, ok := errors.AsType[*sys.StuckError](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) ||
			!strings.HasPrefix(err.Error(), "open /nfs/x: ") {
			t.Fatalf("%v", err)
		}
		select {
		case <-stuck.Returned:
			t.Error("it has not come back, and is said to have")
		default:
		}
		close(hang)
		<-stuck.Returned
		if n := <-undone; n != 7 {
			t.Errorf("undone: %d", n)
		}
		if n, err := sys.Within(t.Context(), "", func() (int, error) { return 7, io.EOF },
			nil); n != 7 || err != io.EOF {
			t.Errorf("%d, %v", n, err)
		}
	})
}
