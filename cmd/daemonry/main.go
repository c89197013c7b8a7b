// Command daemonry runs programs as daemons.
package main

import (
	"os"

	"github.com/daemonry/daemonry/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args, os.Stdout, os.Stderr)) }
