//go:build unix

// Command webserver is a web server that runs in the foreground, or with -d as a daemon.
//
//	webserver -d -pid /run/webserver.pid -log /var/log/webserver.log
//	webserver -s reload -pid /run/webserver.pid     opens the log file anew (SIGHUP)
//	webserver -s stop   -pid /run/webserver.pid
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
)

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	addr := flag.String("addr", "127.0.0.1:8080", "listen on this `address`")
	pid := flag.String("pid", "", "pid `file`")
	logFile := flag.String("log", "", "log `file` of the daemon")
	background := flag.Bool("d", false, "run in the background")
	command := flag.String("s", "", "send `stop`, quit, reload or reopen to the running server")
	flag.Parse()

	if *command != "" {
		if err := daemonry.DefaultCommands().Send(context.Background(), *pid,
			*command); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *background {
		proc, err := daemonry.Detach(context.Background(),
			daemonry.Options{PIDFile: *pid, LogFile: *logFile})
		if err != nil {
			log.Fatal(err)
		}
		if proc != nil {
			fmt.Println(proc.PID)
			return
		}
	}
	if err := serve(*addr); err != nil {
		daemonry.Fail(err)
	}
}

// serve serves until it is told to stop.
func serve(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
		syscall.SIGUSR1)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			log.Printf("%s %s", r.Method, r.URL.Path)
			fmt.Fprintln(w, "hello from process", os.Getpid())
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	if err := daemonry.Ready(); err != nil {
		return err
	}
	log.Printf("serving on %s", l.Addr())
	for {
		select {
		case err := <-served:
			return err
		case s := <-signals:
			if s == syscall.SIGHUP || s == syscall.SIGUSR1 {
				if err := daemonry.ReopenLog(); err != nil {
					log.Print(err)
				}
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return errors.Join(srv.Shutdown(ctx), daemonry.Release())
		}
	}
}
