package probe

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/sys"
	"github.com/daemonry/daemonry/notify"
)

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func TestHearFD(t *testing.T) {
	r, w := pipe(t)
	heard := make(chan error, 1)
	go func() { heard <- HearFD(within(t), r, 5) }()
	w.WriteString("no line")
	w.WriteString(" yet\n")
	if err := <-heard; err != nil {
		t.Fatal(err)
	}
	// A successor of the one that heard it, and was killed before anybody knew, hears it as well.
	if err := HearFD(within(t), r, 5); err != nil {
		t.Fatal("the second one:", err)
	}
	r, w = pipe(t)
	w.WriteString("unfinished")
	w.Close()
	var closed ClosedError
	if err := HearFD(within(t), r, 5); !errors.As(err, &closed) ||
		err.Error() != "closed descriptor 5 without saying ready" {
		t.Fatal(err)
	}
}

func TestHearFDEndsWithContext(t *testing.T) {
	r, w := pipe(t)
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		died := errors.New("it died")
		go cancel(died)
		if err := HearFD(ctx, r, 3); !errors.Is(err, died) {
			t.Fatal(err)
		}
	}
	w.WriteString("\n")
	if n, err := r.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("after an interruption: %v", err)
	}
}

func TestHearFDRefusesWhatCannotBeWaitedFor(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := HearFD(within(t), f, 3); !errors.Is(err, os.ErrNoDeadline) {
		t.Fatal(err)
	}
}

func notifySocket(t *testing.T) (*sys.NotifySocket, notify.Client) {
	t.Helper()
	s, err := sys.ListenNotify("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, notify.Client{Socket: s.Address}
}

func mine(s sys.Sender) bool { return s.PID == os.Getpid() }

func send(t *testing.T, c notify.Client, m notify.Message, files ...*os.File) {
	t.Helper()
	if sent, err := c.Send(m, files...); err != nil || !sent {
		t.Fatal(sent, err)
	}
}

func TestHear(t *testing.T) {
	s, c := notifySocket(t)
	var extended time.Duration
	status, failed := "loading", 7
	send(t,
		c, notify.Message{
			Status:        &status,
			MainPID:       4711,
			ExtendTimeout: 2 * time.Second,
			ExitStatus:    &failed,
		})
	r, w := pipe(t)
	send(t, c, notify.Message{FDStore: true}, w)
	send(t, c, notify.Message{Ready: true})
	w.Close()
	h, err := Hear(within(t), s,
		Listener{Allowed: mine, Extend: func(d time.Duration) { extended = d }})
	if err != nil {
		t.Fatal(err)
	}
	if h.MainPID != 4711 || h.Status != "loading" || *h.ExitStatus != 7 ||
		extended != 2*time.Second {
		t.Errorf("heard %+v, extended by %v", h, extended)
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the descriptor that came along is still open: %d, %v", n, err)
	}
}

func TestHearAnswersBarrier(t *testing.T) {
	s, c := notifySocket(t)
	heard := make(chan error, 1)
	ctx := within(t)
	go func() {
		_, err := Hear(ctx, s, Listener{Allowed: mine})
		heard <- err
	}()
	if ok, err := c.Barrier(ctx); !ok || err != nil {
		t.Fatal(ok, err)
	}
	send(t, c, notify.Message{Ready: true})
	if err := <-heard; err != nil {
		t.Fatal(err)
	}
}

func TestHearIgnoresStrangers(t *testing.T) {
	s, c := notifySocket(t)
	send(t, c, notify.Message{Ready: true})
	h, err := Hear(briefly(t), s, Listener{})
	wantError(t, err, "notify: not ready: no READY=1 yet; 1 messages from others ignored")
	if h.Ignored != 1 {
		t.Errorf("%+v", h)
	}
}

func TestHearTellsWhyNotReady(t *testing.T) {
	s, c := notifySocket(t)
	status := "waiting for the database"
	send(t, c, notify.Message{Status: &status})
	_, err := Hear(briefly(t), s, Listener{Allowed: mine})
	wantError(t, err, `its last status: "waiting for the database"`)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	// The socket is still good.
	send(t, c, notify.Message{Ready: true})
	if _, err := Hear(within(t), s, Listener{Allowed: mine}); err != nil {
		t.Fatal(err)
	}
}
