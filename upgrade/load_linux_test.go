package upgrade_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daemonry/daemonry/internal/proctest"
)

// TestLoad: clients at full speed, with connections that are kept and with new ones, through
// upgrades as fast as they go, one of them failing. No request fails. How long requests take is
// recorded, and not judged: the machine has other work.
func TestLoad(t *testing.T) {
	proctest.CheckLeaks(t)
	r := start(t)
	quiet := load(t, r, func() { time.Sleep(500 * time.Millisecond) }) // what is compared with
	busy := load(t, r, func() {
		for i := range 10 {
			if i == 5 {
				r.next("panic")
				if _, err := r.try("/upgrade"); err == nil {
					t.Error("no error")
				}
				r.next("ok")
			}
			r.upgrade()
		}
	})
	t.Logf("quiet: %v", quiet)
	t.Logf("10 upgrades: %v", busy)
}

// latencies are how long the requests took, in ascending order.
type latencies []time.Duration

func (l latencies) String() string {
	return fmt.Sprintf("%d requests, p50 %v, p99 %v, max %v",
		len(l), l[len(l)/2], l[len(l)*99/100], l[len(l)-1])
}

// load has clients ask as fast as they are answered for as long as during lasts.
func load(t *testing.T, r *running, during func()) latencies {
	t.Helper()
	var stop atomic.Bool
	var clients sync.WaitGroup
	var mu sync.Mutex
	var all latencies
	for i := range 4 {
		transport := &http.Transport{DisableKeepAlives: i%2 == 0}
		clients.Go(func() {
			defer transport.CloseIdleConnections()
			took, err := ask(&http.Client{Transport: transport, Timeout: patience}, r.addr, &stop)
			if err != nil {
				t.Errorf("request %d of a client: %v", len(took), err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
	}
	during()
	stop.Store(true)
	clients.Wait()
	slices.Sort(all)
	if len(all) < 100 {
		t.Fatalf("%d requests are no load", len(all))
	}
	return all
}

func ask(client *http.Client, addr string, stop *atomic.Bool) (took latencies, err error) {
	for !stop.Load() || len(took) < 25 { // on a slow machine the time alone would be no load
		began := time.Now()
		resp, err := client.Get("http://" + addr + "/pid")
		if err != nil {
			return took, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return took, fmt.Errorf("%s: %w", resp.Status, err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}
