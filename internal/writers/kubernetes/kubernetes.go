// Package kubernetes writes Kubernetes manifests: a workload for each service, with a ConfigMap for
// its environment.
//
// The workload is a Deployment; a CronJob where there is a schedule, a Job for
// another oneshot. The label kubernetes.kind chooses StatefulSet or DaemonSet
// instead, kubernetes.image names the image. The reference is the API of apps/v1,
// batch/v1 and core v1.
package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// Labels with a meaning.
const (
	kindLabel  = "kubernetes.kind"
	imageLabel = "kubernetes.image"
)

// Target returns the target.
func Target() writers.Target {
	return writers.Target{
		Name:    "kubernetes",
		About:   "manifests for Kubernetes",
		Dir:     ".",
		Scales:  true,
		Comment: writers.Hash,
		Lost:    lost,
		One:     render,
	}
}

var lost = map[string]string{
	"description": "left out",
	"after": "Kubernetes orders nothing: a container must wait for what it needs, or end " +
		"and be restarted",
	"requires": "Kubernetes orders nothing: a container must wait for what it needs, or end and " +
		"be restarted",
	"wants": "Kubernetes orders nothing: a container must wait for what it needs, or end and " +
		"be restarted",
	"backoff":   "left out: Kubernetes waits 10s to 5m before a restart",
	"budget":    "left out: Kubernetes restarts without a limit",
	"log":       "left out: the output goes to the log of the container; the node rotates it",
	"stdin":     "left out: the container has none",
	"stdout":    "left out: the output goes to the log of the container",
	"stderr":    "left out: the output goes to the log of the container",
	"env_file":  "left out: make a ConfigMap or a Secret of it",
	"clear_env": "a container has the environment of its image",
	"pass_env":  "left out: a container has the environment of its image",
	"chroot":    "left out: the container has its image for a root",
	"umask":     "left out: set it in the image",
	"sockets": "left out: nobody hands sockets over; the program must listen, and a Service " +
		"lead to it",
	"reload":  "left out: Kubernetes replaces containers instead",
	"stop_to": "left out: the first process gets the signal",
	"orphan":  "left out",
	"sandbox": "left out: see the security context",
}

func render(a *writers.Account, _ writers.Options) ([]writers.File, error) {
	name := strings.ToLower(
		strings.NewReplacer("_", "-", "@", "-").Replace(strings.Trim(a.Name, "-_.@")),
	)
	a.NoteIf(name != a.Name,
		"name", "is %s: Kubernetes has names of lower case letters, digits, - and .", name)
	var docs []object
	config := configMap(a, name)
	if config != nil {
		docs = append(docs, config)
	}
	docs = append(docs, workload(a, name, config != nil))
	var b strings.Builder
	for i, doc := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		if err := emit(&b, "", doc); err != nil {
			return nil, err
		}
	}
	return []writers.File{{Path: name + ".yaml", Mode: 0o600, Content: []byte(b.String())}}, nil
}

// configMap holds the environment. Values of a ConfigMap arrive as they are,
// where those in the manifest of a container would be expanded.
func configMap(a *writers.Account, name string) object {
	a.Use("env")
	var data object
	for _, variable := range a.EnvNames() {
		if !writers.IsEnvName(strings.NewReplacer(".", "_", "-", "_").Replace(variable)) {
			a.Note("env", "%q is left out: Kubernetes has no variable of that name", variable)
			continue
		}
		data.add(variable, a.Env[variable])
	}
	if len(data) == 0 {
		return nil
	}
	return object{{"apiVersion", "v1"}, {"kind", "ConfigMap"},
		{"metadata", metadata(a, name+"-env")}, {"data", data}}
}

// metadata names an object. Labels of ours that Kubernetes cannot have become
// annotations.
func metadata(a *writers.Account, name string) object {
	labels := object{{"app.kubernetes.io/name", appName(a)}}
	var annotations object
	for _, key := range slices.Sorted(maps.Keys(a.Labels)) {
		switch value := a.Labels[key]; {
		case key == kindLabel || key == imageLabel:
		case isLabel(key) && (value == "" || isLabel(value)):
			labels.add(key, value)
		case isLabel(key):
			annotations.add(key, value)
		default:
			a.Note("labels", "%q is left out: Kubernetes has no label of that name", key)
		}
	}
	a.Use("labels")
	meta := object{{"name", name}, {"labels", labels}}
	if len(annotations) > 0 {
		meta.add("annotations", annotations)
	}
	return meta
}

// appName is the name as a label: at most 63 characters, alphanumeric at both
// ends.
func appName(a *writers.Account) string {
	name := strings.ReplaceAll(a.Name, "@", "-")
	return strings.Trim(name[:min(63, len(name))], "-_.")
}

func isLabel(text string) bool {
	other := func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') &&
			!strings.ContainsRune("-_.", c)
	}
	return text != "" && len(text) <= 63 && strings.Trim(text, "-_.") == text &&
		!strings.ContainsFunc(text, other)
}

// workload chooses the kind.
func workload(a *writers.Account, name string, hasConfig bool) object {
	a.Use("type", "schedule", "restart", "instances", "autostart")
	meta := metadata(a, name)
	selector := object{{"matchLabels", object{{"app.kubernetes.io/name", appName(a)}}}}
	kind := a.Labels[kindLabel]
	switch {
	case a.Schedule != (spec.Schedule{}):
		job := object{{"schedule", a.Schedule.String()}, {"suspend", !*a.Autostart},
			{"concurrencyPolicy", "Forbid"},
			{"jobTemplate", object{{"spec", jobSpec(a, name, hasConfig)}}}}
		return object{
			{"apiVersion", "batch/v1"}, {"kind", "CronJob"}, {"metadata", meta}, {"spec", job},
		}
	case a.Type == spec.Oneshot:
		job := append(object{{"suspend", !*a.Autostart}}, jobSpec(a, name, hasConfig)...)
		return object{
			{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"metadata", meta}, {"spec", job},
		}
	case kind != "StatefulSet" && kind != "DaemonSet":
		a.NoteIf(kind != "" && kind != "Deployment",
			"labels", "%s = %q is not Deployment, StatefulSet or DaemonSet", kindLabel, kind)
		kind = "Deployment"
	}
	a.NoteIf(a.Restart != spec.RestartAlways,
		"restart", "not %s: a %s restarts after every end", a.Restart, kind)
	a.NoteIf(!a.Success.IsZero(), "success", "means nothing: every end is followed by a restart")
	body := object{}
	if kind != "DaemonSet" {
		replicas := max(1, a.Instances)
		if !*a.Autostart {
			replicas = 0
		}
		body.add("replicas", replicas)
	} else {
		a.NoteIf(a.Instances > 0, "instances", "a DaemonSet has one on each node")
		a.NoteIf(!*a.Autostart, "autostart", "a DaemonSet starts at once")
	}
	if a.Instances > 0 {
		a.Note("instances", "a container does not find its number: {instance} stays as it is, "+
			"and INSTANCE is not set")
	}
	if kind == "StatefulSet" {
		body.add("serviceName", name)
	}
	body.add("selector", selector)
	if alive, waits := a.Alive(); waits && kind != "DaemonSet" && alive >= 1e9 {
		a.Use("ready")
		body.add("minReadySeconds", writers.Seconds(alive))
	}
	body.add("template", template(a, name, "Always", hasConfig))
	return object{{"apiVersion", "apps/v1"}, {"kind", kind}, {"metadata", meta}, {"spec", body}}
}

func jobSpec(a *writers.Account, name string, hasConfig bool) object {
	policy := "Never"
	if a.Restart == spec.RestartOnFailure {
		policy = "OnFailure"
	}
	a.NoteIf(a.Says("timeout") && *a.Timeout != spec.Forever,
		"timeout", "is not written: activeDeadlineSeconds would count restarts too")
	a.NoteIf(a.Remain, "remain", "a Job that succeeded stays as it is until it is deleted")
	parallel := max(1, a.Instances)
	return object{{"parallelism", parallel}, {"completions", parallel},
		{"backoffLimit", max(0, *a.Budget.Restarts)},
		{"template", template(a, name, policy, hasConfig)}}
}

// template is the pod.
func template(a *writers.Account, name, policy string, hasConfig bool) object {
	grace := a.StopTotal()
	if len(a.StopCommand) > 0 {
		if grace += *a.StopTimeout; grace < 0 {
			grace = spec.Forever
		}
	}
	pod := object{
		{"restartPolicy", policy}, {"terminationGracePeriodSeconds", writers.Seconds(grace)},
	}
	if s := podSecurity(a); len(s) > 0 {
		pod.add("securityContext", s)
	}
	pod.add("automountServiceAccountToken", false)
	pod.add("containers", []any{container(a, name, hasConfig)})
	return object{{"metadata", object{{"labels", object{{"app.kubernetes.io/name", appName(a)}}}}},
		{"spec", pod}}
}

// expandable doubles "$": in commands and arguments "$(NAME)" stands for a
// variable and "$$" for a dollar sign.
func expandable(words []string) []any {
	return writers.Each(words, func(word string) any { return strings.ReplaceAll(word, "$", "$$") })
}

func asIs(words []string) []any {
	return writers.Each(words, func(word string) any { return word })
}

// number reads an id; names are known inside an image alone.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return n, err == nil && n >= 0
}

func sizeText(b spec.ByteSize) string { return fmt.Sprint(int64(b)) }
