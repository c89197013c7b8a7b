// Command droproot opens a port that only root may have, and serves as an ordinary user.
//
//	droproot -d -addr 127.0.0.1:80 -user 65534:65534
//
// The listening socket is opened before root is given up, and goes to the
// daemon, which is that user from its first instruction on. Without -d, and under systemd or as
// process 1 of a container, the process stays and becomes that user itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/daemonry/daemonry"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:80", "listen on this `address`")
	var user daemonry.User
	flag.Func("user", "become `UID:GID`, in numbers", func(text string) error {
		_, err := fmt.Sscanf(text, "%d:%d", &user.UID, &user.GID)
		return err
	})
	background := flag.Bool("d", false, "run in the background")
	flag.Parse()
	if user.UID == 0 {
		log.Fatal("usage: droproot [-d] -user UID:GID [-addr ADDRESS]")
	}

	files, err := socket(*addr)
	if err != nil {
		log.Fatal(err)
	}
	proc, err := daemonry.Detach(context.Background(),
		daemonry.Options{Foreground: !*background, User: &user, Files: files})
	if err != nil {
		log.Fatal(err)
	}
	if proc != nil {
		fmt.Println(proc.PID)
		return
	}
	daemonry.Fail(serve(daemonry.Inherited()[0]))
}

// socket opens what needs root, in the launcher: main runs in the daemon too.
func socket(addr string) ([]*os.File, error) {
	if daemonry.IsDaemon() {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	return []*os.File{file}, nil
}

// serve tells every caller who it is. It returns only when that is over.
func serve(file *os.File) error {
	l, err := net.FileListener(file)
	if err != nil {
		return err
	}
	if err := daemonry.Ready(); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		// A caller that has hung up meanwhile is no concern of ours.
		_, _ = fmt.Fprintf(conn, "served by user %d\n", os.Getuid())
		_ = conn.Close()
	}
}
