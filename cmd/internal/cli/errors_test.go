package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/daemonry/daemonry/cmd/internal/detach"
	"github.com/daemonry/daemonry/spec"
)

// TestReport holds the one place where errors become exit statuses and text.
func TestReport(t *testing.T) {
	plain := errors.New("read x: no such thing")
	hinted := &spec.HintError{Message: `"9" is not octal`, Hint: "write 0640"}
	tests := []struct {
		name   string
		err    error
		status int
		text   string
	}{
		{"success", nil, 0, ""},
		{"a failure", plain, 1, "daemonry: read x: no such thing\n"},
		{"wrong usage", inVerb("stop", usagef("no pid file")), 2,
			"daemonry: no pid file\nsee 'daemonry stop --help'\n"},
		{"wrong usage of nothing", usagef("no command"), 2,
			"daemonry: no command\nsee 'daemonry --help'\n"},
		{"wrong usage with advice", inVerb("detach", usagef("--umask: %w", hinted)), 2,
			"daemonry: --umask: \"9\" is not octal\nhint: write 0640\n" +
				"see 'daemonry detach --help'\n"},
		{"an answer", &statusError{status: 3}, 3, ""},
		{"an answer with a reason", &statusError{status: 4, err: plain, hint: "look"}, 4,
			"daemonry: read x: no such thing\nhint: look\n"},
		{"the program's own status",
			&detach.Error{
				Status: 7,
				Err:    plain,
				Words:  []string{"daemonry: liar", "bye"},
				Hint:   "ask it",
			}, 7,
			"daemonry: read x: no such thing\n| daemonry: liar\n| bye\nhint: ask it\n"},
		{"not in time", &detach.Error{Status: 124, Err: plain}, 124,
			"daemonry: read x: no such thing\n"},
		{"ours", fmt.Errorf("more: %w", &detach.Error{Status: 125, Err: fs.ErrPermission}), 125,
			"daemonry: more: permission denied\n"},
		{"a signal while it stopped",
			fmt.Errorf("stop: %w", detach.Interrupted{Signal: syscall.SIGTERM}), 143,
			"daemonry: stop: interrupted by SIGTERM\n"},
		{"several lines", errors.Join(plain, plain), 1,
			"daemonry: read x: no such thing; read x: no such thing\n"},
		{"an attack on the terminal", errors.New("open \x1b[2J\r: no"), 1,
			"daemonry: open \\x1b[2J\\x0d: no\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, text bytes.Buffer
			a := &app{out: &out, err: &text}
			if got := a.report(tt.err); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			if text.String() != tt.text {
				t.Errorf("standard error\n%s\nwant\n%s", text.String(), tt.text)
			}
			if out.Len() > 0 {
				t.Errorf("standard output %q", out.String())
			}
		})
	}
}

// TestUsage feeds whole command lines that say nothing sensible.
func TestUsage(t *testing.T) {
	for _, words := range [][]string{
		{}, {"nonsense"}, {"--nonsense"}, {"detach"}, {"detach", "--"},
		{"detach", "--nonsense", "x"},
		{"detach", "--json=maybe", "x"}, {"check"}, {"check", "1", "2"}, {"check", "-1"},
		{"status", "--pidfile"},
		{"status", "--pidfile", ""}, {"signal"}, {"signal", "HUP"}, {"stop"}, {"start"},
		{"start", "--"}, {"start", "--all", "x"}, {"start", "./x"}, {"restart"},
		{"wait", "--for", "ever", "x"}, {"remove", ""}, {"logs", "-n", "0"}, {"up", "x"},
		{"validate", "x", "y"}, {"supervisor"}, {"supervisor", "rise"},
		{"signal", "SIGNONE", "--pidfile", "x"},
		{"stop", "--timeout", "5", "--pidfile", "x"}, {"version", "please"},
	} {
		var out, text bytes.Buffer
		status := Main(append([]string{"daemonry"}, words...), &out, &text)
		if status != exitUsage {
			t.Errorf("%q: exit status %d, want %d: %s", words, status, exitUsage, text.String())
		}
		if n := bytes.Count(text.Bytes(), []byte("\n")); n < 2 || n > 3 || out.Len() > 0 {
			t.Errorf("%q: want two or three lines on standard error alone, got %q and %q",
				words, text.String(), out.String())
		}
	}
}
