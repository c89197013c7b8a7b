package cli

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
			dir, err := os.MkdirTemp("/tmp", "dmn")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			socket := filepath.Join(dir, "socket")
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			answer := time.AfterFunc(answerTime+time.Second, func() {
				_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
			})
			defer answer.Stop()
			if upgrading {
				if err := os.WriteFile(filepath.Join(dir, "upgrading"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := &session{Client: &control.Client{Socket: socket}, paths: paths.Paths{Runtime: dir}}
			err = s.silence()
			if _, silent := errors.AsType[*silentError](err); silent == upgrading {
				t.Errorf("%v", err)
			}
		})
	}
}
