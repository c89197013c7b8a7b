// Command library makes a daemon of itself with package daemonry, as the target of the measurement.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/daemonry/daemonry"
)

func main() {
	entered := time.Now().UnixNano()
	proc, err := daemonry.Detach(context.Background(), daemonry.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if proc != nil {
		return
	}
	if err := tell(os.Args[1], entered); err != nil {
		daemonry.Fail(err)
	}
	if err := daemonry.Ready(); err != nil {
		daemonry.Fail(err)
	}
	time.Sleep(time.Hour) // the measurement kills it
}

// tell writes when main was entered to the FIFO.
func tell(fifo string, entered int64) error {
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "%d %d\n", os.Getpid(), entered); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
