package successor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/handover"
	"github.com/daemonry/daemonry/internal/proctest"
)

// role is the variable that tells the test binary which program it is, if it is one.
const role = "SUCCESSOR_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		proctest.Main(m)
	case "predecessor":
		os.Exit(predecessor())
	default:
		os.Exit(trial(os.Getenv(role)))
	}
}

// trial is a program that is asked whether it can go on.
func trial(how string) int {
	if err := Check(os.Stdin, os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "daemonry:", err)
		return 1
	}
	switch how {
	case "good":
		fmt.Println(Answer("1.2.3"))
	case "talks":
		fmt.Println(Answer("1.2.3"))
		fmt.Println("and more")
	case "hangs":
		time.Sleep(time.Hour)
	case "crashes":
		fmt.Fprintln(os.Stderr, "first words\nlast words")
		return 3
	case "is killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour) // it may take a moment
	}
	return 0
}

// ourselves is this program's file.
func ourselves(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// reap takes in the trials, as the engine does in a supervisor.
func reap(t *testing.T) {
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			return
		} else if err != nil && !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
	}
}

// Only a program that says that it can go on is executed; of any other it is said why.
func TestTry(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		how, program, state string
		want, err           string
	}{
		{how: "good", want: "1.2.3"},
		{how: "talks", err: "it ended without saying that it can go on"},
		{how: "says nothing", err: "it ended without saying that it can go on"},
		{how: "crashes", err: "last words"},
		{how: "is killed", err: "it ended without saying that it can go on"},
		{how: "hangs", err: "it did not come to a result within"},
		{how: "good", program: "/nonexistent", err: "no such file or directory"},
		{how: "good", program: script, err: "exec format error"},
		{how: "good", state: "{", err: "services.json: unexpected end of JSON input"},
		{how: "good", state: `{"version": 99}`, err: "written by a newer version"},
	} {
		t.Run(tt.how+" "+tt.err, func(t *testing.T) {
			proctest.CheckLeaks(t)
			t.Setenv(role, tt.how)
			runtime, state := t.TempDir(), t.TempDir()
			if tt.state != "" {
				err := os.WriteFile(filepath.Join(state, "services.json"), []byte(tt.state), 0o600)
				if err != nil {
					t.Fatal(err)
				}
			}
			program := tt.program
			if program == "" {
				program = ourselves(t)
			}
			ctx, cancel := t.Context(), func() {}
			if tt.how == "hangs" {
				ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
			}
			defer cancel()
			version, err := Try(ctx, program, Manifest{StateLock: 3}, runtime, state)
			reap(t)
			if version != tt.want || (err == nil) != (tt.err == "") ||
				err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q, %v", version, err)
			}
		})
	}
}

// What is handed over is read by this version, and by no other.
func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"version": 2, "control": 7}`: "",
		`{"control": 7}`:               "written in version 0, and this program reads 2 to 2",
		`{"version": 1, "control": 7}`: "written in version 1, and this program reads 2 to 2",
		`{"version": 3}`:               "written in version 3, and this program reads 2 to 2",
		`{"version": 2, "control": "`:  "unexpected EOF",
		``:                             "EOF",
	} {
		m, err := read(strings.NewReader(text))
		if want == "" && (err != nil || m.Control != 7) ||
			want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
}

// predecessor becomes the program, in the process that it has, and says what it has got as the one
// that it has become.
func predecessor() int {
	if Expected() {
		m, err := Found()
		if err != nil {
			fmt.Println("found:", err)
			return 1
		}
		for _, fd := range m.numbers() {
			if inherits(fd) {
				fmt.Println("descriptor", fd, "would go on to services")
			}
		}
		text, err := json.Marshal(m)
		fmt.Println(os.Getpid(), string(text), err, strings.Join(os.Args[1:], " "))
		return 0
	}
	m := Manifest{Engine: handover.ToProgram{Event: 9}}
	for _, fd := range []*int{&m.StateLock, &m.RuntimeLock, &m.Control, &m.TCP, &m.Engine.Notify} {
		f, err := os.Open(os.DevNull)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		*fd = int(f.Fd())
	}
	if err := Become("/nonexistent", m); !errors.Is(err, os.ErrNotExist) {
		fmt.Println("not there:", err)
	}
	for _, fd := range m.numbers() {
		if inherits(fd) {
			fmt.Println("descriptor", fd, "would go on to services after a failure")
		}
	}
	path, err := os.Executable()
	if err == nil {
		err = Become(path, m)
	}
	fmt.Println("not replaced:", err)
	return 1
}

// inherits says whether a descriptor is open and stays so over execve(2).
func inherits(fd int) bool {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno != 0 || flags&syscall.FD_CLOEXEC == 0
}

// The program is replaced in its process, with its arguments and what it had open; where that fails
// nothing has changed.
func TestBecome(t *testing.T) {
	proctest.CheckLeaks(t)
	cmd := exec.Command(ourselves(t), "supervisor", "run")
	cmd.Env = append(os.Environ(), role+"=predecessor")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid, rest, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	text, args, _ := strings.Cut(rest, " <nil> ")
	var m Manifest
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if pid != fmt.Sprint(cmd.Process.Pid) || args != "supervisor run" ||
		m.Version != manifestVersion || m.Engine.Event != 9 || len(m.numbers()) != 5 {
		t.Errorf("process %d has become: %s", cmd.Process.Pid, out)
	}
	for _, fd := range m.numbers() {
		if fd < 3 {
			t.Errorf("descriptor %d", fd)
		}
	}
}

// A program that nobody was before has got nothing.
func TestNobodyBefore(t *testing.T) {
	if m, err := Found(); m != nil || err != nil || Expected() {
		t.Error(m, err)
	}
}
