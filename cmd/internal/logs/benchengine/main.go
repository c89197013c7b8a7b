// Command benchengine runs the log engine alone, in a process of its own, for bench/logs.
//
//	benchengine DIRECTORY plain|stamp|json SERVICES
//
// Service number N writes into the FIFO run/fifo/svcN of the directory, and its lines come to
// svcN/current. It says "up" when all are open, and ends with its standard input.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/daemonry/daemonry/cmd/internal/logs"
	"github.com/daemonry/daemonry/cmd/internal/logs/line"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "benchengine:", err)
		os.Exit(1)
	}
}

func run(dir, format, services string) error {
	formats := map[string]line.Format{"plain": {}, "stamp": {Stamp: line.UTC}, "json": {JSON: true}}
	n, err := strconv.Atoi(services)
	if err != nil {
		return err
	}
	e, err := logs.New(logs.Options{Dir: filepath.Join(dir, "run")})
	if err != nil {
		return err
	}
	for i := range n {
		id := fmt.Sprint("svc", i)
		config := logs.Config{Path: filepath.Join(dir, id, "current"), Format: formats[format]}
		if _, err := e.Open(id, config); err != nil {
			return err
		}
	}
	fmt.Println("up")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return e.Close()
}
