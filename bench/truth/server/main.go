// Command server is the Go program of bench/truth: it serves, or fails in its start as it is told.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

func main() {
	port, fault := os.Args[1], ""
	if len(os.Args) > 2 {
		fault = os.Args[2]
	}
	switch fault {
	case "panic":
		work(200 * time.Millisecond)
		panic("the third table is missing")
	case "goroutine": // the others wait for it
		var done sync.WaitGroup
		done.Go(func() {
			work(400 * time.Millisecond)
			panic("the third table is missing")
		})
		done.Wait()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err == nil && fault == "listens" { // and loads afterwards
		work(300 * time.Millisecond)
		fmt.Fprintln(os.Stderr, "the third table is missing")
		os.Exit(1)
	}
	if err == nil {
		err = http.Serve(listener, http.NotFoundHandler())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// work uses the processor for a while.
func work(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := json.Marshal(make([]int, 1000)); err != nil {
			panic(err)
		}
	}
}
