// Command testsum reads the output of "go test -json" and prints what a person wants of it: one
// line a package, and every failure and skip in full.
//
// The counts are appended to the file of -counts as "PASSED FAILED SKIPPED".
// It exits 1 if anything failed or was skipped, or if no test ran.
//
// With -again, a run in which few packages failed is left to be settled by a second
// one: their names go to that file, and their failures do not count yet.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of the output; see "go doc test2json". Lines about a
// build have ImportPath in place of Package.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// summary is what is known of a run so far.
type summary struct {
	out                     io.Writer
	passed, failed, skipped int
	// by package and test, until the test has ended
	output map[string]*strings.Builder
	blamed map[string]bool // packages with a failed test
	broken bool            // something that is no test failed
	bad    []string        // packages that failed
}

// mostAgain is how many packages may fail for a second run to be worth it: more are not by chance.
const mostAgain = 3

func main() {
	counts := flag.String("counts", "", "append the counts to this `file`")
	again := flag.String("again", "", "write the packages to run a second time to this `file`")
	flag.Parse()
	s := &summary{out: os.Stdout, output: map[string]*strings.Builder{}, blamed: map[string]bool{}}
	err := s.read(os.Stdin)
	status := 0
	if s.failed > 0 || s.skipped > 0 || s.broken || s.passed == 0 {
		status = 1
	}
	if err == nil && *again != "" && len(s.bad) > 0 && len(s.bad) <= mostAgain && s.skipped == 0 {
		err = os.WriteFile(*again, []byte(strings.Join(s.bad, "\n")+"\n"), 0o644)
		s.failed = 0
	}
	if err == nil && *counts != "" {
		err = s.append(*counts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(2)
	}
	os.Exit(status)
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil {
				s.event(e)
			} else {
				fmt.Fprint(s.out, line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) event(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		if s.output[key] == nil {
			s.output[key] = new(strings.Builder)
		}
		s.output[key].WriteString(e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			s.test(e, key)
		} else {
			s.pkg(e, key)
		}
		delete(s.output, key)
	}
}

func (s *summary) test(e event, key string) {
	switch e.Action {
	case "pass":
		s.passed++
		return
	case "fail":
		s.failed++
		s.blamed[e.Package] = true
	case "skip":
		s.skipped++
	}
	fmt.Fprintf(s.out, "%s %s %s (%.2fs)\n%s",
		strings.ToUpper(e.Action), e.Package, e.Test, e.Elapsed, s.text(key))
}

// pkg prints the line of a package. One that failed without a failed test did
// not build, or failed in its TestMain, and counts as one failure.
func (s *summary) pkg(e event, key string) {
	switch {
	case e.Action == "skip": // it has no test files
	case e.Action == "pass":
		fmt.Fprintf(s.out, "ok   %s (%.1fs)\n", e.Package, e.Elapsed)
	default:
		s.broken = true
		s.bad = append(s.bad, e.Package)
		if !s.blamed[e.Package] {
			s.failed++
		}
		fmt.Fprintf(s.out, "FAIL %s (%.1fs)\n%s", e.Package, e.Elapsed, s.text(key))
		s.unfinished(e.Package)
	}
}

// unfinished prints the output of tests that were running when their process
// ended: nothing else says what a panic or a time-out interrupted.
func (s *summary) unfinished(pkg string) {
	for key := range s.output {
		if strings.HasPrefix(key, pkg+" ") && key != pkg+" " {
			fmt.Fprintf(s.out, "unfinished: %s\n%s", key, s.text(key))
			delete(s.output, key)
		}
	}
}

func (s *summary) text(key string) string {
	if b := s.output[key]; b != nil {
		return b.String()
	}
	return ""
}

func (s *summary) append(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, s.passed, s.failed, s.skipped); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
