// Command typecheck reports what does not compile of a module, its tests included, for other
// systems than this one, and what go vet has to say there. It checks the types of everything, the
// standard library too, from source, and generates no code: a fraction of the time of go build
// where nothing is cached yet.
//
//	typecheck OS/ARCH PACKAGE...
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/suite/vet"
	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: typecheck OS/ARCH PACKAGE...")
		os.Exit(2)
	}
	goos, goarch, _ := strings.Cut(os.Args[1], "/")
	list, err := packages.Load(&packages.Config{
		Mode:  packages.LoadAllSyntax,
		Tests: true,
		Env:   append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
	}, os.Args[2:]...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(list) == 0 {
		fmt.Fprintln(os.Stderr, "no packages")
		os.Exit(1)
	}
	if packages.PrintErrors(list) > 0 || !vetted(list) {
		os.Exit(1)
	}
}

// vetted prints what go vet would, and says whether that is nothing.
func vetted(list []*packages.Package) bool {
	graph, err := checker.Analyze(vet.Suite, list, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return false
	}
	ok := true
	for _, a := range graph.Roots {
		if a.Err != nil {
			fmt.Fprintln(os.Stderr, a, a.Err)
			ok = false
		}
		for _, d := range a.Diagnostics {
			fmt.Fprintf(os.Stderr, "%s: %s\n", a.Package.Fset.Position(d.Pos), d.Message)
			ok = false
		}
	}
	return ok
}
