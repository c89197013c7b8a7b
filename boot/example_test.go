package boot_test

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/daemonry/daemonry"
	"github.com/daemonry/daemonry/boot"
	"github.com/daemonry/daemonry/spec"
)

func ExampleService_Run() {
	service := boot.Service{
		Args: []string{"serve"},
		Spec: spec.Service{Name: "shop", Description: "The shop",
			Ready: spec.Probe{Kind: spec.ProbeNotify}},
	}
	if len(os.Args) == 2 && boot.IsVerb(os.Args[1]) {
		os.Exit(service.Run(context.Background(), os.Args[1], os.Stdout, os.Stderr))
	}
	fmt.Println("serving")
	// Output: serving
}

// A server that can be installed ("shop install"), and runs under systemd (Type=notify), as a
// daemon of its own ("shop -d"), in a container and at a terminal.
func ExampleService_Main() {
	background := flag.Bool("d", false, "run as a daemon")
	addr := flag.String("addr", "127.0.0.1:8080", "address")
	flag.Parse()
	var listener net.Listener
	program := boot.Program{
		Start: func(context.Context) (err error) {
			listener, err = net.Listen("tcp", *addr)
			return err // who started us is told
		},
		Run: func(ctx context.Context) error {
			defer context.AfterFunc(ctx, func() { listener.Close() })()
			for {
				conn, err := listener.Accept()
				if ctx.Err() != nil {
					return nil // SIGTERM, Ctrl-C
				}
				if err != nil {
					return err
				}
				conn.Close()
			}
		},
		Reload: func(context.Context) error { return nil }, // SIGHUP
	}
	if *background {
		program.Detach = &daemonry.Options{PIDFile: "/run/shop.pid", LogFile: "/var/log/shop.log"}
	}
	service := boot.Service{
		TakeArgs: true, // "shop install -addr :80"
		Spec:     spec.Service{Name: "shop"},
	}
	os.Exit(service.Main(context.Background(), program))
}

func ExampleProgram_Main() {
	program := boot.Program{
		Start: func(context.Context) error { fmt.Println("listening"); return nil },
		Run:   func(ctx context.Context) error { fmt.Println("serving"); return nil },
		Stop:  func(context.Context) error { fmt.Println("closed"); return nil },
	}
	fmt.Println("status", program.Main(context.Background()))
	// Output:
	// listening
	// serving
	// closed
	// status 0
}

func ExampleSystems() {
	for _, s := range boot.Systems() {
		if s.Available {
			log.Printf("%s: %s", s.Name, s.Why) // systemd: /run/systemd/system exists
		}
	}
}

// A service of the user who installs it, also if that is root, with a variable of their own.
func ExampleService_Install() {
	service := boot.Service{
		Scope:   boot.UserScope,
		Linger:  true, // from boot on, not from login to logout
		TakeEnv: []string{"SHOP_DATABASE"},
		Spec:    spec.Service{Name: "shop"},
	}
	result, err := service.Install(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	log.Print(result.System, ": ", result.Steps)
}
