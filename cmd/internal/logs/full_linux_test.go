package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	helpers["full"] = helperFull
	helpers["readonly"] = helperReadOnly
}

// inOwnMounts runs a helper in a mount namespace of its own; an ordinary user gets it with a user
// namespace.
func inOwnMounts(t *testing.T, helper string, args ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "DAEMONRY_TEST_HELPER="+helper)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getuid(), Size: 1},
		}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: os.Getgid(), Size: 1},
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", helper, args, err, out)
	}
}

// TestFullDisk fills the file system under a log for a while. Without Block the service is never
// held up for long, and what is missing is counted in the log to the byte; with it nothing is
// missing.
func TestFullDisk(t *testing.T) {
	for _, format := range []string{"raw", "utc", "json"} {
		for _, mode := range []string{"drop", "block"} {
			t.Run(format+"/"+mode, func(t *testing.T) {
				t.Parallel()
				inOwnMounts(t, "full", t.TempDir(), mode, format)
			})
		}
	}
}

// TestReadOnlyDisk makes the disk read-only for a while, removes the log's directory, and takes the
// disk away.
func TestReadOnlyDisk(t *testing.T) { inOwnMounts(t, "readonly", t.TempDir()) }

// smallDisk mounts a file system of 16 MiB for logs and starts an engine.
func smallDisk(dir string) (*Engine, string, error) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, "", fmt.Errorf("make mounts private: %w", err)
	}
	disk := filepath.Join(dir, "log")
	if err := os.Mkdir(disk, 0o755); err != nil {
		return nil, "", err
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		return nil, "", fmt.Errorf("mount a small disk: %w", err)
	}
	e, err := New(Options{Dir: filepath.Join(dir, "run")})
	return e, disk, err
}

// fill leaves no room on the disk.
func fill(disk string) error {
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	for len(buf) > 0 {
		if _, err := f.Write(buf); errors.Is(err, syscall.ENOSPC) {
			buf = buf[:len(buf)/2]
		} else if err != nil {
			return err
		}
	}
	return nil
}

func fullLine(i int) string { return fmt.Sprintf("%08d %s\n", i, strings.Repeat("x", i%100)) }

func helperFull(args []string) error {
	dir, block, format := args[0], args[1] == "block", allFormats[args[2]]
	e, disk, err := smallDisk(dir)
	if err != nil {
		return err
	}
	defer e.Close()
	path := filepath.Join(disk, "a.log")
	s, err := e.Open("a", Config{Path: path, Block: block, Format: format})
	if err != nil {
		return err
	}
	w, err := s.ServiceEnd()
	if err != nil {
		return err
	}
	defer w.Close()

	const before, total = 1000, 60_000 // 3.5 MB: more than the pipe holds
	var sent bytes.Buffer
	say := func(i int) error {
		sent.WriteString(fullLine(i))
		_, err := w.WriteString(fullLine(i))
		return err
	}
	for i := range before {
		if err := say(i); err != nil {
			return err
		}
	}
	if err := s.Drain(); err != nil {
		return err
	}
	if err := fill(disk); err != nil {
		return err
	}
	var worst time.Duration
	wrote := make(chan error, 1)
	go func() {
		for i := before; i < total; i++ {
			from := time.Now()
			if err := say(i); err != nil {
				wrote <- err
				return
			}
			worst = max(worst, time.Since(from))
		}
		wrote <- nil
	}()
	if block {
		select {
		case <-wrote:
			return errors.New("with Block, the service was not held up by the full disk")
		case <-time.After(500 * time.Millisecond):
		}
	} else {
		if err := <-wrote; err != nil {
			return err
		}
		if worst > 10*time.Second { // the bound is 100 ms; the machine may be busy
			return fmt.Errorf("a write took %v", worst)
		}
	}
	if err := s.Drain(); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("Drain on a full disk: %v", err)
	}
	st, err := s.Stats()
	if err != nil || st.Trouble == nil {
		return fmt.Errorf("Stats on a full disk: %+v, %v", st, err)
	}
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		return err
	}
	if block {
		if err := <-wrote; err != nil {
			return err
		}
	}
	end := time.Now().Add(time.Minute)
	for ; time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = s.Drain(); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("the disk has room again, and still: %w", err)
	}
	if st, err = s.Stats(); err != nil || st.Trouble != nil {
		return fmt.Errorf("Stats afterwards: %+v, %v", st, err)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	got, err := plainText(log, args[2])
	if err != nil {
		return err
	}
	if block {
		if !bytes.Equal(got, sent.Bytes()) {
			return fmt.Errorf("with Block, %d of %d bytes arrived", len(got), sent.Len())
		}
		return nil
	}
	return accountFor(got, sent.Bytes(), st.Dropped)
}

// plainText takes the format off.
func plainText(log []byte, format string) ([]byte, error) {
	f, ok := allFormats[format]
	if !ok {
		return log, nil
	}
	var b bytes.Buffer
	for _, l := range bytes.SplitAfter(log, []byte{'\n'}) {
		l, end := bytes.CutSuffix(l, []byte{'\n'})
		r := f.Parse(l)
		b.Write(r.Text)
		if end && !r.More {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

// accountFor checks that got is sent with one hole, and that the notice in the hole tells its size.
func accountFor(got, sent []byte, dropped int64) error {
	i := bytes.Index(got, []byte("daemonry: "))
	if i < 0 {
		return errors.New("no notice in the log")
	}
	j := i + bytes.IndexByte(got[i:], '\n') + 1
	var lines, size int
	if _, err := fmt.Sscanf(string(got[i:j]), "daemonry: %d lines (%d bytes) dropped from",
		&lines, &size); err != nil {
		return fmt.Errorf("notice %q: %w", got[i:j], err)
	}
	if !bytes.Contains(got[i:j], []byte("no space left on device")) {
		return fmt.Errorf("notice without a reason: %q", got[i:j])
	}
	head, tail := got[:i], got[j:]
	if !bytes.HasPrefix(sent, head) {
		head = head[:len(head)-1] // the newline that ends a line whose rest was dropped
	}
	if !bytes.HasPrefix(sent, head) || !bytes.HasSuffix(sent, tail) {
		return fmt.Errorf("what is before or after the hole is not what was sent: %q",
			got[max(0, i-200):min(len(got), j+200)])
	}
	hole := sent[len(head) : len(sent)-len(tail)]
	if len(hole) != size || int64(size) != dropped ||
		bytes.Count(hole, []byte{'\n'}) != lines || size == 0 {
		return fmt.Errorf("%d lines, %d bytes are missing; the notice says %d and %d, Stats %d",
			bytes.Count(hole, []byte{'\n'}), len(hole), lines, size, dropped)
	}
	return nil
}

func helperReadOnly(args []string) error {
	e, disk, err := smallDisk(args[0])
	if err != nil {
		return err
	}
	defer e.Close()
	path := filepath.Join(disk, "sub", "a.log")
	s, err := e.Open("a", Config{Path: path})
	if err != nil {
		return err
	}
	w, err := s.ServiceEnd()
	if err != nil {
		return err
	}
	defer w.Close()
	remount := func(flags uintptr) error {
		return syscall.Mount("", disk, "", syscall.MS_REMOUNT|flags, "")
	}
	fmt.Fprintln(w, "one")
	if err := errors.Join(s.Drain(), s.Reopen(), remount(syscall.MS_RDONLY)); err != nil {
		return err
	}
	fmt.Fprintln(w, "two")
	if err := s.Drain(); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("Drain to a read-only disk: %v", err)
	}
	if err := remount(0); err != nil {
		return err
	}
	fmt.Fprintln(w, "three")
	if err := errors.Join(s.Drain(), os.RemoveAll(filepath.Dir(path))); err != nil {
		return err
	}
	fmt.Fprintln(w, "four")
	if err := s.Drain(); err != nil {
		return err
	}
	if b, err := os.ReadFile(path); string(b) != "four\n" {
		return fmt.Errorf("after the removal of the directory: %q, %v", b, err)
	}
	// The disk itself goes away. What is printed from then on is in what is there in its place.
	old, err := os.Open(path)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
		return err
	}
	if err := s.Reopen(); err != nil {
		return err
	}
	fmt.Fprintln(w, "five")
	if err := s.Drain(); err != nil {
		return err
	}
	if b, err := os.ReadFile(path); string(b) != "five\n" {
		return fmt.Errorf("in place of the disk that is gone: %q, %v", b, err)
	}
	if b, err := io.ReadAll(old); string(b) != "four\n" {
		return fmt.Errorf("on the disk that is gone: %q, %v", b, err)
	}
	return nil
}
