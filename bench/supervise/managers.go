//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// place is where one supervisor runs once.
type place struct {
	dir     string // its own, empty
	bin     string // our programs
	service string // the program to keep running
	n       int
	env     []string
}

func (p *place) command(words ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env, cmd.Dir = p.env, p.dir
	return cmd
}

// background starts what stays, and reaps it when it ends.
func (p *place) background(words ...string) (*exec.Cmd, error) {
	cmd := p.command(words...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go cmd.Wait() // how it ends is seen by what it leaves running
	return cmd, nil
}

// finish runs a command to its end.
func (p *place) finish(words ...string) error {
	cmd := p.command(words...)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", words[0], err, bytes.TrimSpace(text.Bytes()))
	}
	return nil
}

// manager is a supervisor.
type manager interface {
	name() string
	program(bin string) string // that must be there
	prepare(*place) error      // writes what describes the services
	start(*place) error        // from nothing; may return before all run
	status(*place) error       // asks for the state of all
	stop(*place) error         // all services, and itself; may return before they are gone
}

type bare struct{ cmd *exec.Cmd }

func (*bare) name() string              { return "C loop" }
func (*bare) program(bin string) string { return bin + "/bare" }
func (*bare) prepare(*place) error      { return nil }
func (*bare) status(*place) error       { return errNone }
func (m *bare) stop(*place) error       { return m.cmd.Process.Signal(syscall.SIGTERM) }
func (m *bare) start(p *place) (err error) {
	m.cmd, err = p.background(p.bin+"/bare", strconv.Itoa(p.n), p.service)
	return err
}

type daemonry struct{}

func (*daemonry) name() string              { return "daemonry" }
func (*daemonry) program(bin string) string { return bin + "/daemonry" }
func (*daemonry) prepare(p *place) error {
	var b bytes.Buffer
	b.WriteString("[defaults]\nrestart = \"always\"\nbackoff = { first = \"0s\" }\n" +
		"budget = { restarts = -1 }\n")
	for i := range p.n {
		fmt.Fprintf(&b, "[service.s%d]\ncommand = [%q, \"%d\"]\n", i, p.service, i)
	}
	p.env = append(p.env, "DAEMONRY_ROOT="+p.dir+"/root")
	return os.WriteFile(p.dir+"/daemonry.toml", b.Bytes(), 0o600)
}
func (*daemonry) start(p *place) error  { return p.finish(p.bin+"/daemonry", "up") }
func (*daemonry) status(p *place) error { return p.finish(p.bin+"/daemonry", "status") }
func (*daemonry) stop(p *place) error   { return p.finish(p.bin+"/daemonry", "supervisor", "stop") }

type supervisord struct{}

func (*supervisord) name() string          { return "supervisord" }
func (*supervisord) program(string) string { return "supervisord" }
func (*supervisord) prepare(p *place) error {
	var b bytes.Buffer
	// minfds is below the hard limit, which an ordinary user cannot raise.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	fmt.Fprintf(&b, `[unix_http_server]
file = %[1]s/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://%[1]s/sock
[supervisord]
nodaemon = true
minfds = %[2]d
logfile = %[1]s/log
pidfile = %[1]s/pid
childlogdir = %[1]s
`, p.dir, min(limit.Max, uint64(4*p.n+1024)))
	for i := range p.n {
		fmt.Fprintf(&b,
			"[program:s%d]\ncommand = %s %d\nautorestart = true\nstartsecs = 0\n"+
				"redirect_stderr = true\n", i, p.service, i)
	}
	return os.WriteFile(p.dir+"/supervisord.conf", b.Bytes(), 0o600)
}
func (*supervisord) start(p *place) error {
	_, err := p.background("supervisord", "-c", p.dir+"/supervisord.conf")
	return err
}
func (*supervisord) status(p *place) error { return p.ctl("status") }
func (*supervisord) stop(p *place) error   { return p.ctl("shutdown") }
func (p *place) ctl(verb string) error {
	return p.finish("supervisorctl", "-c", p.dir+"/supervisord.conf", verb)
}

// directories makes a directory of services, each with nothing but its program.
func (p *place) directories() error {
	for i := range p.n {
		dir := filepath.Join(p.dir, "sv", strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Symlink(p.service, filepath.Join(dir, "run")); err != nil {
			return err
		}
	}
	return nil
}

type runit struct{ cmd *exec.Cmd }

func (*runit) name() string           { return "runit" }
func (*runit) program(string) string  { return "runsvdir" }
func (*runit) prepare(p *place) error { return p.directories() }
func (m *runit) start(p *place) (err error) {
	m.cmd, err = p.background("runsvdir", p.dir+"/sv")
	return err
}
func (*runit) status(p *place) error { return p.finish("sh", "-c", "exec sv status ./sv/*") }
func (m *runit) stop(*place) error   { return m.cmd.Process.Signal(syscall.SIGHUP) }

type s6 struct{}

func (*s6) name() string           { return "s6" }
func (*s6) program(string) string  { return "s6-svscan" }
func (*s6) prepare(p *place) error { return p.directories() }
func (*s6) start(p *place) error {
	_, err := p.background("s6-svscan", "-c", strconv.Itoa(p.n+10), p.dir+"/sv")
	return err
}
func (*s6) status(p *place) error {
	return p.finish("sh", "-c", "for d in sv/*; do s6-svstat $d; done")
}
func (*s6) stop(p *place) error { return p.finish("s6-svscanctl", "-t", p.dir+"/sv") }
