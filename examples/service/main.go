//go:build unix

// Command service is a web server that installs itself as a service of the machine's init system.
//
//	service install     started now and at every boot; as root for the machine, else for you
//	service status      also stop, start, restart, uninstall
//	service             serves in the foreground, as the init system starts it
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/boot"
	"github.com/daemonry/daemonry/spec"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	service := boot.Service{
		Args: []string{"-addr", *addr},
		Spec: spec.Service{
			Name: "hello-web", Description: "A web server that says hello",
			Ready:       spec.Probe{Kind: spec.ProbeNotify}, // daemonry.Ready below
			Supervision: spec.Supervision{Restart: spec.RestartOnFailure},
		},
	}
	// one that there is not is an error, and nothing to serve for
	if verb := flag.Arg(0); verb != "" {
		os.Exit(service.Run(ctx, verb, os.Stdout, os.Stderr))
	}
	if err := serve(ctx, *addr); err != nil {
		daemonry.Fail(err)
	}
}

// serve serves until ctx ends.
func serve(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "hello from process", os.Getpid())
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	if err := daemonry.Ready(); err != nil {
		return errors.Join(err, srv.Close())
	}
	log.Printf("serving on %s", l.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ending)
}
