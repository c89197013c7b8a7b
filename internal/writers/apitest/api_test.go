// Package apitest holds what the writers for Kubernetes and Nomad write against the parsers of
// those, in a module of its own.
package apitest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/internal/writers/kubernetes"
	"github.com/daemonry/daemonry/internal/writers/nomad"
	"github.com/daemonry/daemonry/spec"
)

var nasty = []string{
	"", " ", "a  b", "'", `"`, `\`, "a\nb\r\n", "%n %{if} %%{x}",
	"$HOME ${HOME} $$ $${x} $(HOME) $$(HOME) $$$", "~", "true", "0x10", "- x", "a: b", "# x",
	"é ☃ 𝄞",
	"\x01\x7f\u0085\u2028\ufeff\ufffe", strings.Repeat("x\"'$% {", 600), "<<EOF", "{{ x }}",
}

func full() spec.Service {
	return spec.Service{
		Name: "web", Command: append(spec.Command{"/bin/web"}, nasty...),
		Labels: map[string]string{"team": "a", "note": "b c"},
		Process: spec.Process{
			User: "33:33", Groups: []string{"7"}, Cap: []string{"net_bind_service"},
			Env: map[string]string{"NASTY": strings.Join(nasty, "|")},
		},
		Ready: spec.Probe{Kind: spec.ProbeHTTP, Target: "http://127.0.0.1:8080/ok?x=1"},
		Liveness: spec.Liveness{
			Check: spec.Probe{Kind: spec.ProbeTCP, Target: "127.0.0.1:8080"},
			Grace: spec.Duration(5 * time.Second),
		},
		Supervision: spec.Supervision{StopCommand: spec.Command{"/bin/bye"}},
		Limits:      spec.Limits{Memory: 64 << 20, CPUs: 2},
		Sandbox:     spec.Sandbox{Level: spec.SandboxStrict}, Instances: 3,
	}
}

func rendered(t testing.TB, target writers.Target, s spec.Service) []byte {
	t.Helper()
	out, err := target.Render([]spec.Service{s}, writers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return out.Files[0].Content
}

func strict[T any](t testing.TB, doc []byte) T {
	t.Helper()
	var v T
	if err := yaml.UnmarshalStrict(doc, &v); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return v
}

// expand is what the kubelet does to commands: "$$" is "$", and no "$(NAME)"
// may be left that is not behind such a pair.
func expand(t testing.TB, text string) string {
	t.Helper()
	plain := strings.ReplaceAll(text, "$$", "\x00")
	if strings.Contains(plain, "$(") {
		t.Errorf("%q would be expanded", text)
	}
	return strings.ReplaceAll(plain, "\x00", "$")
}

func TestKubernetes(t *testing.T) {
	s := full()
	docs := bytes.Split(rendered(t, kubernetes.Target(), s), []byte("\n---\n"))
	if len(docs) != 2 {
		t.Fatalf("there are %d documents", len(docs))
	}
	config := strict[corev1.ConfigMap](t, docs[0])
	if config.Data["NASTY"] != s.Env["NASTY"] {
		t.Errorf("variable:\n got %q\nwant %q", config.Data["NASTY"], s.Env["NASTY"])
	}
	deployment := strict[appsv1.Deployment](t, docs[1])
	pod := deployment.Spec.Template.Spec
	got := make([]string, len(pod.Containers[0].Command))
	for i, word := range pod.Containers[0].Command {
		got[i] = expand(t, word)
	}
	if !slices.Equal(got, []string(s.Command)) {
		t.Errorf("command:\n got %q\nwant %q", got, s.Command)
	}
	c := pod.Containers[0]
	if *deployment.Spec.Replicas != 3 || *pod.SecurityContext.RunAsUser != 33 ||
		c.StartupProbe.HTTPGet.Path != "/ok?x=1" ||
		c.LivenessProbe.TCPSocket.Port.IntValue() != 8080 ||
		c.Resources.Limits.Cpu().MilliValue() != 2000 ||
		c.Resources.Limits.Memory().Value() != 64<<20 ||
		c.Lifecycle.PreStop.Exec.Command[0] != "/bin/bye" {
		t.Errorf("not what was asked for:\n%s", docs[1])
	}
}

func TestKubernetesKinds(t *testing.T) {
	s := spec.Service{Name: "x", Command: spec.Command{"/bin/x"}}
	for _, kind := range []string{"StatefulSet", "DaemonSet"} {
		s.Labels = map[string]string{"kubernetes.kind": kind, "kubernetes.image": "registry/x:1"}
		doc := rendered(t, kubernetes.Target(), s)
		if kind == "StatefulSet" {
			strict[appsv1.StatefulSet](t, doc)
		} else {
			strict[appsv1.DaemonSet](t, doc)
		}
	}
	s.Type = spec.Oneshot
	if job := strict[batchv1.Job](t, rendered(t, kubernetes.Target(), s)); job.Kind != "Job" {
		t.Errorf("a oneshot is a %s", job.Kind)
	}
	schedule, err := spec.ParseSchedule("30 4 * * 1-5")
	if err != nil {
		t.Fatal(err)
	}
	s.Schedule = schedule
	if job := strict[batchv1.CronJob](t,
		rendered(t, kubernetes.Target(), s)); job.Spec.Schedule != "30 4 * * 1-5" {
		t.Errorf("the schedule is %q", job.Spec.Schedule)
	}
}

// block returns the one block of a type in a body.
func block(t testing.TB, body *hclsyntax.Body, name string) *hclsyntax.Body {
	t.Helper()
	for _, b := range body.Blocks {
		if b.Type == name {
			return b.Body
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

func TestNomad(t *testing.T) {
	s := full()
	words, env := readNomad(t, s)
	if !slices.Equal(words, []string(s.Command[1:])) {
		t.Errorf("args:\n got %q\nwant %q", words, s.Command[1:])
	}
	if env["NASTY"] != s.Env["NASTY"] {
		t.Errorf("variable:\n got %q\nwant %q", env["NASTY"], s.Env["NASTY"])
	}
}

func readNomad(t testing.TB, s spec.Service) (words []string, env map[string]string) {
	t.Helper()
	content := rendered(t, nomad.Target(), s)
	file, diags := hclsyntax.ParseConfig(content, "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, content)
	}
	task := block(t, block(t, block(t, file.Body.(*hclsyntax.Body), "job"), "group"), "task")
	value, diags := block(t, task, "config").Attributes["args"].Expr.Value(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, v := range value.AsValueSlice() {
		words = append(words, v.AsString())
	}
	env = map[string]string{}
	if attribute := task.Attributes["env"]; attribute != nil {
		value, diags := attribute.Expr.Value(nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for name, v := range value.AsValueMap() {
			env[name] = v.AsString()
		}
	}
	return words, env
}

func FuzzTexts(f *testing.F) {
	for _, text := range nasty {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := spec.Service{Name: "x", Command: spec.Command{"/bin/x", text}}
		if _, err := kubernetes.Target().Render([]spec.Service{s}, writers.Options{}); err != nil {
			return
		}
		d := strict[appsv1.Deployment](t, rendered(t, kubernetes.Target(), s))
		if got := expand(t, d.Spec.Template.Spec.Containers[0].Command[1]); got != text {
			t.Errorf("Kubernetes reads %q as %q", text, got)
		}
		out, err := nomad.Target().Render([]spec.Service{s}, writers.Options{})
		if err != nil {
			t.Fatal(err)
		}
		changes := slices.ContainsFunc(out.Notes,
			func(n writers.Note) bool { return strings.Contains(n.Text, "NFC") })
		if words, _ := readNomad(t, s); words[0] != text && !changes {
			t.Errorf("Nomad reads %q as %q", text, words[0])
		}
	})
}
