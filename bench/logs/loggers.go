package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// logger is one contender.
type logger struct {
	name string
	bin  string
	// args returns the command line that logs its standard input into the directory "." in the
	// format, or nil if it cannot. Engines that serve all services with one process have start
	// instead.
	args func(format string) []string
	// start, if not nil, starts one process for all services of the run in place of one args
	// process for each.
	start func(dir string, j job) (*set, error)
}

func (l logger) installed() bool {
	_, err := exec.LookPath(l.bin)
	return err == nil
}

// loggers lists all contenders; engine is our program, see build.
func loggers(engine string) []logger {
	plainOnly := func(argv ...string) func(string) []string {
		return byFormat(map[string][]string{"plain": argv})
	}
	return []logger{
		{name: "cat", bin: "cat", args: plainOnly("sh", "-c", "exec cat >current")},
		{name: "svlogd", bin: "svlogd", args: byFormat(map[string][]string{
			"plain": {"svlogd", "-b", "65536", "."},
			"stamp": {"svlogd", "-b", "65536", "-tt", "."}})},
		{name: "s6-log", bin: "s6-log", args: byFormat(map[string][]string{
			"plain": {"s6-log", "-b", "n5", "s99999999", "."},
			"stamp": {"s6-log", "-b", "n5", "s99999999", "T", "."}})},
		{name: "multilog", bin: "multilog", args: byFormat(map[string][]string{
			"plain": {"multilog", "s16777215", "n5", "."},
			"stamp": {"multilog", "t", "s16777215", "n5", "."}})},
		{name: "supervisord", bin: "supervisord", args: plainOnly("supervisord"),
			start: startSupervisord},
		{name: "daemonry", bin: engine, start: startEngine(engine),
			args: byFormat(map[string][]string{"plain": {}, "stamp": {}, "json": {}})},
	}
}

func byFormat(m map[string][]string) func(string) []string {
	return func(format string) []string { return m[format] }
}

// build makes the program of our engine: no other module may import the package.
func build(dir string) (string, error) {
	program := filepath.Join(dir, "benchengine")
	const engine = "github.com/daemonry/daemonry/cmd/internal/logs/benchengine"
	if out, err := exec.Command("go", "build", "-o", program, engine).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", engine, err, out)
	}
	return program, nil
}

// startEngine runs our engine in a process of its own.
func startEngine(program string) func(dir string, j job) (*set, error) {
	return func(dir string, j job) (*set, error) {
		cmd := exec.Command(program, dir, j.format, strconv.Itoa(j.services))
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		s := &set{procs: []*exec.Cmd{cmd}, stop: stdin.Close}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			return s, fmt.Errorf("engine did not come up: %w", err)
		}
		for i := range j.services {
			fifo := filepath.Join(dir, "run", "fifo", fmt.Sprint("svc", i))
			f, err := os.OpenFile(fifo, os.O_RDWR, 0)
			if err != nil {
				return s, err
			}
			s.ends = append(s.ends, f)
		}
		return s, nil
	}
}

// startSupervisord has supervisord start the producers itself: it captures only what it started.
func startSupervisord(dir string, j job) (*set, error) {
	var conf strings.Builder
	fmt.Fprintf(&conf,
		"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%s/pid\n"+
			"minfds=4096\n", dir)
	for i := range j.services {
		fmt.Fprintf(&conf,
			"[program:svc%d]\ncommand=%s %d %d %s\nenvironment=%s=produce\n"+
				"stdout_logfile=%s/svc%d/current\n"+
				"stdout_logfile_maxbytes=0\nautorestart=false\nstartsecs=0\n",
			i, os.Args[0], j.bytes/int64(j.services), j.write, resultPath(dir, i), roleEnv, dir, i)
	}
	path := filepath.Join(dir, "supervisord.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("supervisord", "-c", path)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return &set{procs: []*exec.Cmd{cmd}, stop: stop, produces: true}, nil
}

// produce writes args[0] bytes in writes of args[1] bytes, lines of 100 bytes, then says in the
// file args[2] when it began and ended.
func produce(args []string) {
	total, err := strconv.ParseInt(args[0], 10, 64)
	check(err)
	size, err := strconv.Atoi(args[1])
	check(err)
	line := strings.Repeat("0123456789", 10)[:99] + "\n"
	buf := []byte(strings.Repeat(line, size/100+2))
	begin := time.Now()
	at := 0
	for left := total; left > 0; {
		n, err := os.Stdout.Write(buf[at : at+int(min(left, int64(size)))])
		check(err)
		left -= int64(n)
		at = (at + n) % 100
	}
	end := time.Now()
	check(os.WriteFile(args[2]+".tmp",
		fmt.Appendf(nil, "%d %d\n", begin.UnixNano(), end.UnixNano()), 0o600))
	check(os.Rename(args[2]+".tmp", args[2]))
}
