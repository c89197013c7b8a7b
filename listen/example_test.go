package listen_test

import (
	"log"

	"github.com/daemonry/daemonry/listen"
)

// A server that is handed its socket, or opens it when it is started by hand.
func Example() {
	sockets, err := listen.Take()
	if err != nil {
		log.Fatal(err)
	}
	web, err := sockets.Listen("web",
		listen.Address{Network: "unix", Address: "/run/app/web.sock", Mode: 0o660})
	if err != nil {
		log.Fatal(err)
	}
	defer web.Close()
	if err := sockets.Close(); err != nil { // what was handed over and is not used
		log.Print(err)
	}
}
