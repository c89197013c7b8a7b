//go:build unix && !solaris && !illumos && !aix

// Command lockedfile keeps a journal that only one process at a time may write, in the foreground
// or with -d as a daemon.
//
//	lockedfile -d -file /var/lib/app/journal
//
// The lock is taken before the daemon is made, so that the user hears at once
// that somebody else has it, and goes to the daemon with the open file: there
// is no moment at which it is free.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/daemonry/daemonry"
)

func main() {
	path := flag.String("file", "journal", "the `file` to keep")
	pid := flag.String("pid", "", "pid `file`")
	background := flag.Bool("d", false, "run in the background")
	flag.Parse()

	file, err := journal(*path)
	if err != nil {
		log.Fatal(err)
	}
	if *background {
		proc, err := daemonry.Detach(context.Background(),
			daemonry.Options{PIDFile: *pid, Files: []*os.File{file}})
		if err != nil {
			log.Fatal(err)
		}
		if proc != nil {
			fmt.Println(proc.PID)
			return
		}
		if daemonry.IsDaemon() {
			file = daemonry.Inherited()[0]
		}
	}
	if err := keep(file); err != nil {
		daemonry.Fail(err)
	}
}

// journal opens and locks the file. Main runs in the daemon too, which inherits it from the
// launcher.
func journal(path string) (*os.File, error) {
	if daemonry.IsDaemon() {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	// flock(2), and not fcntl(2): its locks belong to the open file, not to the process.
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

// keep writes until it is told to stop.
func keep(file *os.File) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if _, err := fmt.Fprintf(file, "process %d begins\n", os.Getpid()); err != nil {
		return err
	}
	if err := daemonry.Ready(); err != nil {
		return err
	}
	<-signals
	if _, err := fmt.Fprintf(file, "process %d ends\n", os.Getpid()); err != nil {
		return err
	}
	return daemonry.Release()
}
