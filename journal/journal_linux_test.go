package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
	"github.com/daemonry/daemonry/internal/sys"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// written is what a handler writes to a file that is the journal, or not.
func recorded(t *testing.T, journal bool, o *slog.HandlerOptions, log func(*slog.Logger)) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Setenv("JOURNAL_STREAM", "1:2")
	if journal {
		t.Setenv("JOURNAL_STREAM", stream(t, f))
	}
	log(slog.New(NewHandler(f, o)))
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func stream(t *testing.T, f *os.File) string {
	t.Helper()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	id := sys.FileIDOf(fi)
	return fmt.Sprintf("%d:%d", id.Device, id.Inode)
}

func TestPriorities(t *testing.T) {
	o := &slog.HandlerOptions{Level: slog.LevelDebug}
	got := recorded(t, true, o, func(l *slog.Logger) {
		for _, level := range []slog.Level{-8, -4, 0, 2, 4, 8, 12, 100} {
			l.Log(t.Context(), level, "x")
		}
		l.Log(t.Context(), -9, "too low")
	})
	if want := "<7>x\n<6>x\n<5>x\n<4>x\n<3>x\n<2>x\n<2>x\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTexts(t *testing.T) {
	long := strings.Repeat("ä", mostLine)
	for _, c := range []struct{ name, got, want string }{
		{"attributes", recorded(t, true, nil, func(l *slog.Logger) {
			l.With("a", 1).WithGroup("g").Info("opened", "b", "c d", "err", io.EOF)
		}), `<6>opened a=1 g.b="c d" g.err=EOF` + "\n"},
		{"names that slog has itself", recorded(t, true, nil, func(l *slog.Logger) {
			l.Info("x", "level", slog.LevelWarn, "msg", "", "time", 5)
		}), "<6>x level=WARN msg=\"\" time=5\n"},
		{"lines", recorded(t, true, nil, func(l *slog.Logger) {
			l.Warn("one\n<0>two\n\n")
		}), "<4>one\n<4>\t<0>two\n"},
		{"control characters", recorded(t, true, nil, func(l *slog.Logger) {
			l.Info("a\x00<0>b\x1b[1m", "c", "\x00")
		}), `<6>"a\x00<0>b\x1b[1m" c="\x00"` + "\n"},
		{"nothing", recorded(t, true, nil, func(l *slog.Logger) { l.Info("") }), "<6>\n"},
		{"log.Print", recorded(t, true, nil, func(l *slog.Logger) {
			slog.NewLogLogger(l.Handler(), slog.LevelError).Print("refused")
		}), "<3>refused\n"},
		{"replaced", recorded(t, true, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				return slog.String(a.Key, "***")
			},
		}, func(l *slog.Logger) { l.Info("x", "token", 1) }), "<6>x token=***\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	got := recorded(t, true, nil, func(l *slog.Logger) { l.Error("<" + long) })
	all := ""
	for line := range strings.Lines(got) {
		text, ok := strings.CutPrefix(line, "<3>")
		if all += strings.TrimSuffix(text, "\n"); !ok || len(line) > mostLine+10 {
			t.Errorf("a line of %d bytes begins with %.10q", len(line), line)
		}
	}
	if all != "<"+long {
		t.Errorf("%d bytes have become %d", len(long)+1, len(all))
	}
}

func TestPlain(t *testing.T) {
	got := recorded(t, false, nil, func(l *slog.Logger) {
		l.Warn("closed\nERROR forged", "door", 7)
		l.Handler().Handle(t.Context(), slog.Record{Message: "no time"})
	})
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d) WARN closed` +
		"\n\tERROR forged door=7\nINFO no time\n$")
	if !want.MatchString(got) {
		t.Errorf("%q", got)
	}
}

// TestHandler: as package slog wants a handler to be.
func TestHandler(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	slogtest.Run(t, func(*testing.T) slog.Handler { return NewHandler(w, nil) },
		func(t *testing.T) map[string]any {
			buf := make([]byte, 4096)
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			return parse(strings.TrimSpace(string(buf[:n])))
		})
}

// parse reads a plain line of words.
func parse(line string) map[string]any {
	all := map[string]any{}
	words := strings.Fields(line)
	if strings.Contains(words[0], "T") && words[0][0] == '2' {
		all[slog.TimeKey], words = words[0], words[1:]
	}
	all[slog.LevelKey], all[slog.MessageKey] = words[0], words[1]
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		at := all
		groups := strings.Split(key, ".")
		for _, g := range groups[:len(groups)-1] {
			if at[g] == nil {
				at[g] = map[string]any{}
			}
			at = at[g].(map[string]any)
		}
		at[groups[len(groups)-1]] = value
	}
	return all
}

func TestConnected(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", stream(t, f))
	if !Connected(f) || Connected(os.Stdin) || Connected(nil) {
		t.Error("the file is the stream, and no other")
	}
	f.Close()
	if Connected(f) {
		t.Error("a closed file")
	}
	t.Setenv("JOURNAL_STREAM", "")
	if Connected(os.Stderr) {
		t.Error("no journal")
	}
}

// logger is a service that logs to standard error.
var logger = proctest.Register("logger", func([]string) int {
	l := slog.New(NewHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.Debug("looking")
	l.Info("open", "door", 7)
	l.Warn("one\ntwo")
	fmt.Fprintln(os.Stderr, "printed")
	l.Error("closed " + strings.Repeat("x", 100<<10))
	return 0
})

const namespace = "daemonrytest"

// TestJournald has the real journal say what it has got.
func TestJournald(t *testing.T) {
	const journald = "/lib/systemd/systemd-journald"
	if _, err := os.Stat(journald); err != nil {
		t.Skip(err)
	}
	if os.Getenv("JOURNAL_TEST_INSIDE") == "" {
		apart(t)
		return
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/run", "/var/log"} { // where its sockets and its files are
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("/var/log/journal", 0o755); err != nil {
		t.Fatal(err)
	}
	var words bytes.Buffer
	cmd := exec.Command(journald, namespace)
	cmd.Stderr = &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var stderr *os.File
	proctest.Eventually(t, time.Minute, func() (err error) {
		stderr, err = connect()
		return err
	})
	service := logger.Command(t)
	service.Stderr = stderr
	service.Env = append(os.Environ(), "JOURNAL_STREAM="+stream(t, stderr))
	if err := service.Run(); err != nil {
		t.Fatal(err)
	}
	stderr.Close()
	var got []string
	proctest.Eventually(t, time.Minute, func() (err error) {
		if got, err = entries(); err == nil && len(got) < 8 {
			err = fmt.Errorf("%q; %s", got, &words)
		}
		return err
	})
	want := []string{"7 looking", "6 open door=7", "4 one", "4 \ttwo", "5 printed"}
	for i, entry := range got {
		if i < len(want) && entry != want[i] || i >= len(want) && entry[:2] != "3 " {
			t.Errorf("%d: %.60q", i, entry)
		}
	}
}

// apart runs the test again in mount and user namespaces of its own.
func apart(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestJournald$", "-test.v")
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_INSIDE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestJournald") {
		t.Errorf("%v\n%s", err, out)
	}
	logger.Path(t) // used in there
}

// connect is standard error of a service, as systemd makes it: exec_context of its sources sends
// identifier, unit, priority, whether a level may be in a prefix, and three places to forward to.
func connect() (*os.File, error) {
	path := "/run/systemd/journal." + namespace + "/stdout"
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	_, err = conn.Write([]byte("shop\n\n5\n1\n0\n0\n0\n"))
	f, fileErr := conn.File()
	return f, errors.Join(err, fileErr, conn.Close())
}

// entries are priority and message of what the service has said.
func entries() (list []string, err error) {
	dirs, err := filepath.Glob("/var/log/journal/*." + namespace)
	if err != nil || len(dirs) == 0 {
		return nil, fmt.Errorf("no journal: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", "--directory="+dirs[0], "--all", "-o",
		"json", "SYSLOG_IDENTIFIER=shop").Output()
	for line := range bytes.Lines(out) {
		var entry struct{ PRIORITY, MESSAGE string }
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		list = append(list, entry.PRIORITY+" "+entry.MESSAGE)
	}
	return list, err
}
