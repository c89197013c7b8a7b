package cli

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/internal/paths"
)

// A supervisor whose program is being replaced is waited for; one that is silent otherwise is not.
func TestSilenceOfAnUpgrade(t *testing.T) {
	for name, upgrading := range map[string]bool{"upgrading": true, "silent": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, l := listens(t)
			answer := time.AfterFunc(answerTime+time.Second, func() {
				_ = http.Serve(l,
					http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						_, _ = w.Write([]byte("{}"))
					}))
			})
			defer answer.Stop()
			if upgrading {
				if err := os.WriteFile(dir+"/upgrading", nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := paths.Paths{Runtime: dir}
			err := silence(t.Context(), &control.Client{Socket: p.Socket()}, p, answerTime)
			if _, silent := errors.AsType[*silentError](err); silent == upgrading {
				t.Errorf("%v", err)
			}
		})
	}
}

// A request ends when the supervisor falls silent while it waits, and so does an answer that is
// still being read; while others are answered, both wait.
func TestSilenceMeanwhile(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *session) error{
		"request": func(ctx context.Context, s *session) error {
			return s.Wait(ctx, control.WaitRequest{Names: control.Named("a")})
		},
		"answer": func(ctx context.Context, s *session) error {
			for _, err := range s.Events(ctx, control.EventsRequest{Follow: true}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, l := listens(t)
			var asked atomic.Int32
			silent := make(chan struct{})
			t.Cleanup(func() { close(silent) })
			go func() {
				_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case strings.HasSuffix(r.URL.Path, "/supervisor") && asked.Add(1) <= 2:
						_, _ = w.Write([]byte("{}"))
						return
					case strings.HasSuffix(r.URL.Path, "/events"):
						_ = http.NewResponseController(w).Flush()
					}
					<-silent
				}))
			}()
			s := heedfulSession(paths.Paths{Runtime: dir})
			s.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
				return &heedful{next, s.paths, 2 * answerTime}
			}
			err := ask(t.Context(), s)
			if _, ok := errors.AsType[*silentError](err); !ok || asked.Load() < 4 {
				t.Errorf("asked %d times: %v", asked.Load(), err)
			}
		})
	}
}

// listens makes a runtime directory whose socket connections wait at.
func listens(t *testing.T) (runtime string, l net.Listener) {
	dir, err := os.MkdirTemp("/tmp", "dmn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err = net.Listen("unix", paths.Paths{Runtime: dir}.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return dir, l
}
