package boot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/sys"
)

// s6Init is s6 as process 1: s6-svscan looks when it is told to.
type s6Init struct{ m *Machine }

// s6Image is what s6-linux-init(8) makes /run of at boot.
const s6Image = "/etc/s6-linux-init/current/run-image/service"

// scans are the directory of the running s6-svscan, and the one that it is made
// of at boot if it does not last.
func (s s6Init) scans() ([]string, error) {
	if s.m.scan != "" {
		return []string{s.m.scan}, nil
	}
	var scans []string
	image := s.m.path(s6Image)
	if tree(image).isDir("/") {
		scans = append(scans, image)
	}
	if !s.m.live() {
		if scans == nil {
			return nil, fmt.Errorf("s6: there is no %s", image)
		}
		return scans, nil
	}
	words, err := sys.Cmdline(1)
	if err != nil {
		return nil, fmt.Errorf("s6: which directory process 1 scans: %w", err)
	}
	live := words[len(words)-1]
	switch {
	case len(words) < 2 || !filepath.IsAbs(live):
		return nil, errors.New("s6: process 1 does not say which directory it scans")
	case scans == nil && (strings.HasPrefix(live, "/run/") || strings.HasPrefix(live, "/tmp/")):
		return nil, fmt.Errorf(
			"s6: %s does not last over a boot, and there is no %s that it is made of", live,
			s6Image,
		)
	}
	return append(scans, live), nil
}

func (s s6Init) alive() string               { return "supervise/control" }
func (s s6Init) rescan(scan string) []string { return []string{"s6-svscanctl", "-a", scan} }

func (s s6Init) start(dir string, ready bool) []string {
	wait := "-wu"
	if ready {
		wait = "-wU"
	}
	return []string{"s6-svc", wait, "-T", "30000", "-u", dir}
}
func (s s6Init) restart(dir string) []string { return []string{"s6-svc", "-r", dir} }
func (s s6Init) stop(dir string) []string {
	return []string{"s6-svc", "-wD", "-T", "60000", "-d", dir}
}
func (s s6Init) shutdown(dir string) []string {
	return []string{"s6-svc", "-wD", "-T", "60000", "-dx", dir}
}

// state asks s6-svstat(1), which with -o prints the values that are asked for.
func (s s6Init) state(ctx context.Context, dir string) (scanState, error) {
	out, err := s.m.run(ctx, "s6-svstat", "-o", "up,pid", dir)
	if err != nil {
		return scanState{}, err
	}
	up, pid, _ := strings.Cut(strings.TrimSpace(out), " ")
	st := scanState{up: up == "true"}
	if st.up {
		st.pid, err = strconv.Atoi(pid)
	}
	return st, err
}

func (s s6Init) control(ctx context.Context, verb string, dirs []string) error {
	options := map[string][]string{
		"start": {"-wu", "-u"}, "stop": {"-wD", "-d"}, "restart": {"-wr", "-r"},
	}[verb]
	var errs []error
	for _, dir := range dirs {
		_, err := s.m.run(ctx,
			slices.Concat([]string{"s6-svc", "-T", "60000"}, options, []string{dir})...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
