package supervise

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/daemonry/daemonry/spec"
)

func TestSmoke(t *testing.T) {
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
	_, sub, _ := e.Subscribe(ctx, 0)
	go func() {
		for {
			ev, err := sub.Next(ctx)
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(ev.ID, ev.Service, ev.Kind, ev.From, ev.State, ev.Reason, ev.Exit)
		}
	}()
	t0 := time.Now()
	plan, err := e.Apply(ctx, Apply{Source: "x", Services: []spec.Service{
		{Name: "db", Command: spec.Command{"sh", "-c", "echo db up; sleep 300 & exec sleep 301"}},
		{Name: "web", Command: spec.Command{"sh", "-c", "echo web; exec sleep 302"}, Supervision: spec.Supervision{}, Requires: []string{"db"}},
		{Name: "bad", Command: spec.Command{"sh", "-c", "echo oops >&2; exit 7"}},
	}})
	fmt.Println(plan, err, time.Since(t0))
	st, err := e.Status(ctx)
	for _, s := range st {
		fmt.Printf("%+v %v\n", s, err)
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Println(e.Stop(ctx, "db"))
	cancel()
	fmt.Println(<-done)
	b, _ := os.ReadFile(dir + "/state/wanted.json")
	fmt.Println(string(b))
	ents, _ := os.ReadDir(dir + "/log")
	fmt.Println(ents)
}
