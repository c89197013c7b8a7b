package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/server"
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/internal/sys"
)

// answerTime is how long a supervisor may take for its first answer to a command. It is asked for
// what it has in memory.
const answerTime = 4 * time.Second

// silentError says that a supervisor is there and does not answer.
type silentError struct {
	socket, process string
	after           time.Duration
}

func (e *silentError) Error() string {
	return fmt.Sprintf("the supervisor does not answer: %slistens at %s, and has said nothing for "+
		"%v", e.process, e.socket, e.after)
}

// longSilence is how long one that has answered may then say nothing, while a request waits: on a
// busy machine it may be late more than once in a long time. One that is stopped has nothing to be
// late with.
const longSilence = 32 * time.Second

// silence is the error of a supervisor that takes a connection, or lets it wait, and says nothing
// for a time. One whose program is being replaced is waited for, as long as that may take. With ctx
// the waiting ends, and there is no error.
func silence(ctx context.Context, c *control.Client, p paths.Paths, limit time.Duration) error {
	start := time.Now()
	for tries := time.Duration(1); ; tries++ {
		if answersWithin(ctx, c, answerTime) {
			return nil // what is wrong otherwise, the command finds when it asks for something
		}
		who, stopped := listener(p.Socket())
		paused := time.Now().Before(server.PausedUntil(p.Runtime)) &&
			time.Since(start) < server.PauseTime
		if stopped || !paused && tries*answerTime >= limit {
			return &silentError{p.Socket(), who, tries * answerTime}
		}
	}
}

func answersWithin(ctx context.Context, c *control.Client, d time.Duration) bool {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err := c.Supervisor(limited)
	return err == nil || ctx.Err() != nil || !errors.Is(limited.Err(), context.DeadlineExceeded)
}

// heedfulSession asks the supervisor whose place p is. While an answer is waited for, however long
// that may take, it looks whether the supervisor still answers at all: a request fails with a
// silentError when it does not.
func heedfulSession(p paths.Paths) *session {
	heed := func(next http.RoundTripper) http.RoundTripper { return &heedful{next, p, longSilence} }
	return &session{Client: &control.Client{Socket: p.Socket(), WrapTransport: heed}, paths: p}
}

// heedful is the transport of such a session.
type heedful struct {
	next  http.RoundTripper
	at    paths.Paths
	limit time.Duration // for silence
}

func (h *heedful) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	go h.heed(ctx, cancel)
	resp, err := h.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		defer cancel(nil)
		return nil, unanswered(ctx, err)
	}
	resp.Body = &heededBody{resp.Body, ctx, cancel}
	return resp, nil
}

// heed ends the request when nobody answers any more. It looks soon at first, as most requests take
// but a moment, and then less often.
func (h *heedful) heed(ctx context.Context, end context.CancelCauseFunc) {
	for rest := time.Second; ; rest = min(2*rest, 8*time.Second) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
		// A client of its own, for one that heeds silence would look after itself.
		c := &control.Client{Socket: h.at.Socket()}
		if err := silence(ctx, c, h.at, h.limit); err != nil {
			end(err)
			return
		}
	}
}

// unanswered is the error of a request, or why it was ended.
func unanswered(ctx context.Context, err error) error {
	if silent, ok := errors.AsType[*silentError](context.Cause(ctx)); ok {
		return silent
	}
	return err
}

// heededBody is an answer while it is read.
type heededBody struct {
	io.ReadCloser
	ctx context.Context
	end context.CancelCauseFunc
}

func (b *heededBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unanswered(b.ctx, err)
	}
	return n, err
}

func (b *heededBody) Close() error {
	b.end(nil)
	return b.ReadCloser.Close()
}

// listener says who holds a socket: "process 12, which is stopped, ", or "somebody " where that
// cannot be seen. To connect is enough for it: the kernel takes connections for a process that does
// not.
func listener(socket string) (who string, stopped bool) {
	conn, err := net.DialTimeout("unix", socket, answerTime/20)
	if err != nil {
		return "somebody ", false
	}
	defer conn.Close()
	peer, err := sys.PeerOf(conn.(*net.UnixConn))
	if err != nil || peer.PID == 0 {
		return "somebody ", false
	}
	if stat, err := sys.ReadStat(peer.PID); err == nil && (stat.State == 'T' || stat.State == 't') {
		return fmt.Sprintf("process %d, which is stopped (SIGCONT continues it), ", peer.PID), true
	}
	return fmt.Sprintf("process %d ", peer.PID), false
}
