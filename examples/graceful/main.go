//go:build unix

// Command graceful is a web server that replaces its own binary without failing a request.
//
//	graceful -addr 127.0.0.1:8080 &
//	go build -o graceful .     # or whatever puts a new file in its place
//	kill -HUP PID              # the new one serves; the old one finishes what it is at and ends
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/daemonry/daemonry/upgrade"
)

// version can be set with -ldflags "-X main.version=2".
var version = "1"

func main() {
	// where a manager keeps sockets, nobody is refused over a crash
	u, err := upgrade.New(upgrade.Options{Store: true})
	if err != nil {
		log.Fatal(err)
	}
	addr := flag.String("addr", "127.0.0.1:8080", "listen on this `address`")
	flag.Parse()
	if err := serve(u, *addr); err != nil {
		log.Fatal(err)
	}
}

func serve(u *upgrade.Upgrader, addr string) error {
	l, err := u.Listen("http", "tcp", addr)
	if err != nil {
		return err
	}
	var open connections
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "version %s, process %d\n", version, os.Getpid())
		}),
		ConnState:         open.note,
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	if err := u.Ready(); err != nil {
		return err
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-served:
		return err
	case <-u.Exit(): // a new process serves
	case <-terminate:
	}
	// http.Server.Shutdown drops a request that it finds just read. This loses none: accept no
	// more, have every connection end with the response that is under way or still to be asked for,
	// and wait for that.
	if err := l.Close(); err != nil {
		return err
	}
	<-served
	srv.SetKeepAlivesEnabled(false)
	open.wait(30 * time.Second)
	return errors.Join(srv.Close(), u.Close())
}

// connections counts those that a server has open.
type connections struct{ sync.WaitGroup }

func (c *connections) note(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.Done()
	}
}

// wait returns when there are none, or after a time. No new one may come meanwhile.
func (c *connections) wait(most time.Duration) {
	none := make(chan struct{})
	go func() {
		c.Wait()
		close(none)
	}()
	select {
	case <-none:
	case <-time.After(most):
	}
}
