package kubernetes

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

func container(a *writers.Account, name string, hasConfig bool) object {
	a.Use("command", "chdir")
	image := a.Labels[imageLabel]
	if image == "" {
		image = name + ":latest"
		a.Note("command", "the image is not known: %s is a guess; the label %s names it",
			image, imageLabel)
	}
	// A container's name has no dots.
	c := object{{"name", strings.ReplaceAll(name, ".", "-")}, {"image", image}, {"command",
		expandable(a.Command)}}
	if a.Says("chdir") {
		c.add("workingDir", a.Chdir)
	}
	if hasConfig {
		c.add("envFrom", []any{object{{"configMapRef", object{{"name", name + "-env"}}}}})
	}
	if r := resources(a); len(r) > 0 {
		c.add("resources", r)
	}
	c.add("securityContext", security(a))
	probes(a, &c)
	a.Use("stop", "stop_timeout", "stop_command")
	if len(a.StopCommand) > 0 {
		c.add("lifecycle",
			object{{"preStop", object{{"exec", object{{"command", asIs(a.StopCommand)}}}}}})
		a.Note("stop_command",
			"MAINPID is not in its environment; in the container the program is process 1")
	}
	if len(a.Stop) > 1 || a.Stop[0].Signal != spec.DefaultStopSignal {
		a.Note("stop", "Kubernetes sends the image's STOPSIGNAL, or TERM, and KILL when the time "+
			"of all steps is over")
	}
	return c
}

// resources are limits; what is asked for is the same.
func resources(a *writers.Account) object {
	a.Use("limits.memory", "limits.cpus")
	var limits object
	if a.Limits.CPUs > 0 {
		limits.add("cpu", fmt.Sprintf("%dm", int64(math.Ceil(a.Limits.CPUs*1000))))
	}
	if a.Limits.Memory > 0 {
		limits.add("memory", sizeText(a.Limits.Memory))
	}
	if limits == nil {
		return nil
	}
	return object{{"limits", limits}}
}

func podSecurity(a *writers.Account) object {
	a.Use("user", "groups")
	var s object
	user, group := a.UserGroup()
	for _, id := range []struct{ key, value string }{{"runAsUser", user}, {"runAsGroup", group}} {
		if id.value == "" {
			continue
		}
		if n, ok := number(id.value); ok {
			s.add(id.key, n)
		} else {
			a.Note("user", "%s is left out: Kubernetes knows numbers alone", id.value)
		}
	}
	var groups []any
	for _, name := range a.Groups {
		if n, ok := number(name); ok {
			groups = append(groups, n)
		} else {
			a.Note("groups", "%s is left out: Kubernetes knows numbers alone", name)
		}
	}
	if groups != nil {
		s.add("supplementalGroups", groups)
	}
	if a.Sandbox.Level != spec.SandboxOff {
		s.add("seccompProfile", object{{"type", "RuntimeDefault"}})
	}
	return s
}

// security of the container. Its image is what it may change; a file system of
// its own that cannot be written to is for services that are made for it.
func security(a *writers.Account) object {
	a.Use("no_new_privs", "cap", "sandbox.level")
	s := object{{"allowPrivilegeEscalation", !a.NoNewPrivs && a.Sandbox.Level == spec.SandboxOff}}
	strict := a.Sandbox.Level == spec.SandboxStrict
	if strict {
		s.add("readOnlyRootFilesystem", true)
		s.add("runAsNonRoot", true)
	}
	if a.Cap != nil || strict {
		capabilities := object{{"drop", []any{"ALL"}}}
		if len(a.Cap) > 0 {
			capabilities.add("add",
				writers.Each(a.Cap, func(name string) any { return strings.ToUpper(name) }))
			a.Note("cap", "a container's capabilities are not ambient: a user other than root "+
				"has them by file capabilities alone")
		}
		s.add("capabilities", capabilities)
	}
	return s
}

// probes are asked by the node at the address of the pod, so a program that
// listens on the loopback interface alone does not hear them.
func probes(a *writers.Account, c *object) {
	if a.Type == spec.Oneshot {
		return
	}
	if action, ok := action(a, "ready", a.Ready); ok {
		a.Use("ready", "timeout")
		startup := append(object{}, action...)
		startup.add("periodSeconds", 1)
		startup.add("failureThreshold", max(1, writers.Seconds(*a.Timeout)))
		c.add("startupProbe", startup)
		ready := append(object{}, action...)
		ready.add("periodSeconds", 10)
		c.add("readinessProbe", ready)
	} else if _, waits := a.Alive(); !waits {
		a.Note("ready", "Kubernetes has no probe %q: the container is up as soon as it runs",
			a.Ready.Kind)
	}
	if a.Liveness.Check == (spec.Probe{}) {
		return
	}
	action, ok := action(a, "liveness.check", a.Liveness.Check)
	if !ok {
		a.Note("liveness.check", "Kubernetes has no probe %q", a.Liveness.Check.Kind)
		return
	}
	a.Use("liveness.check", "liveness.interval", "liveness.timeout", "liveness.threshold",
		"liveness.grace")
	action.add("periodSeconds", max(1, writers.Seconds(*a.Liveness.Interval)))
	action.add("timeoutSeconds", max(1, writers.Seconds(*a.Liveness.Timeout)))
	action.add("failureThreshold", *a.Liveness.Threshold)
	if a.Liveness.Grace > 0 {
		action.add("initialDelaySeconds", writers.Seconds(a.Liveness.Grace))
	}
	c.add("livenessProbe", action)
}

func action(a *writers.Account, field string, p spec.Probe) (object, bool) {
	const address = "is asked at the address of the pod: the program must listen there, not on " +
		"the loopback interface"
	switch p.Kind {
	case spec.ProbeCmd:
		return object{{"exec", object{{"command", asIs(p.Argv())}}}}, true
	case spec.ProbeFile:
		return object{{"exec", object{{"command", []any{"test", "-e", p.Target}}}}}, true
	case spec.ProbeTCP:
		_, port, err := net.SplitHostPort(p.Target)
		n, ok := number(port)
		a.Note(field, address)
		return object{{"tcpSocket", object{{"port", n}}}}, err == nil && ok
	case spec.ProbeHTTP:
		u, err := url.Parse(p.Target)
		if err != nil {
			return nil, false
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		n, ok := number(port)
		a.Note(field, address)
		return object{{"httpGet", object{{"path", u.RequestURI()}, {"port", n},
			{"scheme", strings.ToUpper(u.Scheme)}}}}, ok
	}
	return nil, false
}
