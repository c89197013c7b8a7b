package supervise

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daemonry/daemonry/spec"
)

func TestScale(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SCALE"))
	if n == 0 {
		t.Skip("set SCALE")
	}
	dir := t.TempDir()
	for _, d := range []string{"run", "state", "log"} {
		os.Mkdir(dir+"/"+d, 0o700)
	}
	e, err := New(Options{RuntimeDir: dir + "/run", StateDir: dir + "/state", LogDir: dir + "/log", Trouble: func(err error) { fmt.Println("TROUBLE", err) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t0 := time.Now()
	_, err = e.Apply(ctx, Apply{Source: "x", Services: []spec.Service{
		{Name: "s", Command: spec.Command{"/bin/sleep", "1000"}, Instances: n, Ready: spec.Probe{Kind: "exec"}},
	}})
	d := time.Since(t0)
	fmt.Println(n, err, d, float64(n)/d.Seconds(), "per second")
	b, _ := os.ReadFile("/proc/self/smaps_rollup")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, "Pss:") {
			fmt.Println(l)
		}
	}
	t0 = time.Now()
	cancel()
	fmt.Println(<-done, time.Since(t0))
}
