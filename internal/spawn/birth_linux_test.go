package spawn

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// newborn is a target that looks at what its parent has sent it.
var newborn = proctest.Register("newborn", func(args []string) int {
	b := Inherited()
	if b == nil {
		return 50
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(0, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFCHR {
		return 51 // descriptor 0 is /dev/null again, by now
	}
	text := string(b.Payload)
	for _, f := range b.Files {
		data, err := io.ReadAll(f)
		if err != nil {
			return 52
		}
		text += "|" + string(data)
	}
	if err := b.Send([]byte(text)); err != nil {
		return 53
	}
	for _, m := range args {
		if err := b.Send([]byte(m)); err != nil {
			return 54
		}
	}
	if len(args) > 0 && args[0] == "close" {
		if err := b.Close(); err != nil {
			return 55
		}
	}
	return 7
})

// patient is a target that looks at a file when its watcher has left, and says in another what it
// has seen.
var patient = proctest.Register("patient", func(args []string) int {
	b := Inherited()
	if err := b.Untie(); err != nil {
		return 1
	}
	if err := b.SendLastAndWait([]byte("last"), time.Minute); err != nil {
		return 1
	}
	seen, err := os.ReadFile(args[0])
	if err != nil {
		seen = []byte(err.Error())
	}
	if os.WriteFile(args[1], seen, 0o600) != nil {
		return 1
	}
	return 0
})

// TestSendLastAndWait: what is done before the release has been done when the target goes on.
func TestSendLastAndWait(t *testing.T) {
	proctest.CheckLeaks(t)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	l, err := Detach(t.Context(), &Spec{
		Path: patient.Path(t), Args: []string{"patient", in, out}, Birth: &Birth{},
	})
	if err != nil {
		t.Fatal(err)
	}
	proctest.KillAtEnd(t, l.PID)
	if e := <-l.Events; string(e.Message) != "last" {
		t.Fatalf("%+v", e)
	}
	if err := os.WriteFile(in, []byte("recorded"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	proctest.Eventually(t, time.Minute, func() error {
		if got, err := os.ReadFile(out); err != nil || string(got) != "recorded" {
			return fmt.Errorf("%q, %v", got, err)
		}
		return nil
	})
}

// TestSendLastIsNotHeldUp by a launcher that does not let go.
func TestSendLastIsNotHeldUp(t *testing.T) {
	proctest.CheckLeaks(t)
	l, err := Detach(t.Context(), &Spec{
		Path: hasty.Path(t), Args: []string{"hasty"}, Birth: &Birth{},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Kill(0)
	for e := range l.Events {
		if e.Exit != nil && e.Exit.Status() == 9 {
			return
		}
	}
	t.Error("it did not come to its end")
}

var hasty = proctest.Register("hasty", func([]string) int {
	b := Inherited()
	if b.Untie() != nil || b.SendLastAndWait([]byte("last"), time.Millisecond) != nil {
		return 1
	}
	return 9
})

func TestBirth(t *testing.T) {
	for _, c := range []struct {
		name  string
		birth *Birth
		files []string
		args  []string
		want  []string
	}{
		{"nothing", &Birth{}, nil, nil, []string{""}},
		{"payload", &Birth{Payload: []byte("\x00any\xffbytes")}, nil, nil,
			[]string{"\x00any\xffbytes"}},
		{"files", &Birth{Payload: []byte("files")}, []string{"one", "", "three"}, nil,
			[]string{"files|one||three"}},
		{
			"as many as can be", &Birth{Payload: []byte("x"), Crash: os.Stderr},
			strings.Split(strings.Repeat("y", maxFiles-2), ""), nil,
			[]string{"x" + strings.Repeat("|y", maxFiles-2)},
		},
		{"much", &Birth{Payload: make([]byte, 1<<20)}, nil, nil,
			[]string{string(make([]byte, 1<<20))}},
		{"messages", &Birth{}, nil, []string{"a", "", "c"}, []string{"", "a", "", "c"}},
		{"a long message", &Birth{}, nil, []string{strings.Repeat("m", 100_000)},
			[]string{"", strings.Repeat("m", 100_000)}},
		{"closed", &Birth{}, nil, []string{"close"}, []string{"", "close"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proctest.CheckLeaks(t)
			for _, text := range c.files {
				f := named(t, "file")
				if _, err := f.WriteString(text); err != nil {
					t.Fatal(err)
				}
				if _, err := f.Seek(0, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				c.birth.Files = append(c.birth.Files, f)
			}
			l, err := Detach(context.Background(), &Spec{
				Path: newborn.Path(t), Args: append([]string{"newborn"}, c.args...), Birth: c.birth,
				Files: []File{{1, os.Stdout}, {2, os.Stderr}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var exit *Exit
			for e := range l.Events {
				if exit != nil || e.Lost != nil {
					t.Errorf("after the exit, or lost: %+v", e)
				}
				if exit = e.Exit; exit == nil {
					got = append(got, string(e.Message))
				}
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) || exit == nil ||
				*exit != (Exit{Code: 7}) {
				t.Errorf("messages %.200q, want %.200q, exit %v", got, c.want, exit)
			}
			if err := l.Kill(0); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBirthIsNotInherited: a child of the newborn is nobody's newborn.
func TestBirthIsNotInherited(t *testing.T) {
	if Inherited() != nil {
		t.Error("the tests were born")
	}
	proctest.CheckLeaks(t)
	l, err := Detach(context.Background(), &Spec{Path: newborn.Path(t), Args: []string{"newborn"}})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-l.Events; e.Exit == nil || e.Exit.Code != 50 {
		t.Errorf("without a birth: %+v", e)
	}
	if err := l.Kill(0); err != nil {
		t.Error(err)
	}
}
