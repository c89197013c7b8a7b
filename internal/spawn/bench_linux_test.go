package spawn

import (
	"context"
	"syscall"
	"testing"
)

// BenchmarkStage is a start by way of a stage, until the program runs.
func BenchmarkStage(b *testing.B) {
	s := &Spec{Path: "/bin/true", Args: []string{"true"}, NoNewPrivs: true}
	for b.Loop() {
		pid, err := Start(context.Background(), s)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}
