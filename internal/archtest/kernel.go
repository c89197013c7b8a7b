package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kernelRules keep all that asks the kernel in one package, and that package in order.
var kernelRules = []Rule{
	{"system calls only in internal/sys", checkCalls},
	{"/proc only in internal/sys", checkProc},
	{"internal/sys is ordered by topic", checkTopics},
	{"AIX does not count as Unix", checkUnix},
}

// asksKernel says whether a file may do so: internal/sys, what tests us and so shares nothing with
// it, and programs that show or measure what others do.
func (f *File) asksKernel() bool {
	return f.Test || within(f.Path, []string{"internal/sys/", "examples/", "bench/", ".ci/"})
}

// mayCall are the functions of package syscall that others may call.
var mayCall = map[string][]string{
	// The one package that starts, replaces and ends processes; Go has these in package syscall
	// alone, which sees to its runtime.
	"internal/spawn": {"syscall.Exec", "syscall.Exit", "syscall.ForkExec"},
}

// syscallFunction tells the functions of package syscall from its constants, which are in capitals,
// and its types.
var syscallFunction = regexp.MustCompile(`^syscall\.[A-Z]\w*[a-z]`)

var syscallTypes = []string{
	"syscall.Conn", "syscall.Credential", "syscall.Errno", "syscall.Note", "syscall.ProcAttr",
	"syscall.RawConn", "syscall.Rusage", "syscall.Signal", "syscall.Stat_t", "syscall.SysProcAttr",
	"syscall.WaitStatus",
}

func checkCalls(t *Tree, report Report) {
	t.files(func(p *Package, f *File) {
		if f.asksKernel() {
			return
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			name := f.qualified(n)
			if syscallFunction.MatchString(name) && !slices.Contains(syscallTypes, name) &&
				!slices.Contains(mayCall[p.Dir], name) {
				report(t.where(n), "%s: a system call belongs into internal/sys", name)
			}
			return true
		})
	})
}

// mayName lists the files that name what is below /proc.
var mayName = []string{
	"internal/boot/detect.go", // of a tree that is another machine's, by its prefix
}

func checkProc(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		if f.asksKernel() || within(f.Path, mayName) {
			return
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil &&
				(text == "/proc" || strings.HasPrefix(text, "/proc/")) {
				report(t.where(n), "%s: a reading of /proc belongs into internal/sys", lit.Value)
			}
			return true
		})
	})
}

// mostTopics is the most files that internal/sys may have, and leastLines the fewest lines of one:
// a call is a line in a file that is there.
const (
	mostTopics = 47
	leastLines = 11
)

func checkTopics(t *Tree, report Report) {
	const dir = "internal/sys"
	files := 0
	t.files(func(p *Package, f *File) {
		if p.Dir != dir || f.Test {
			return
		}
		if files++; f.Lines < leastLines {
			report(f.Path, "has %d lines, fewer than %d: put them where their topic is",
				f.Lines, leastLines)
		}
	})
	if files > mostTopics {
		report(dir, "has %d files, more than %d: order them by topic", files, mostTopics)
	}
}

// unixTag is a build constraint that asks for Unix, or for what is not.
var unixTag = regexp.MustCompile(`(?m)^//go:build .*\bunix\b.*$`)

// checkUnix keeps the two paths of the library apart: the tag unix of Go is true on AIX, for which
// x/sys has no flock(2), F_DUPFD_CLOEXEC or MSG_DONTWAIT. It goes with Windows, WebAssembly and
// Plan 9, where everything gives errors.ErrUnsupported.
func checkUnix(t *Tree, report Report) {
	t.files(func(_ *Package, f *File) {
		if f.Test || inCommand(f.Path) || within(f.Path, []string{"bench/", "examples/", ".ci/"}) {
			return
		}
		for _, tag := range unixTag.FindAllString(f.Text, -1) {
			if !strings.Contains(tag, "unix && !aix") && !strings.Contains(tag, "!unix || aix") {
				report(f.Path, "%s: say \"unix && !aix\", or \"!unix || aix\"", tag)
			}
		}
	})
}
