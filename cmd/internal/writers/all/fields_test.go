package all

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

// samples are values, as JSON, for every field there is: each is set alone in
// an otherwise plain service. The first word of a key is the field; what is
// needed besides for the service to be valid stands in with.
var samples = map[string][]string{
	"description":  {`"Serves the web"`},
	"labels":       {`{"team":"a"}`},
	"command":      {`["/bin/other","-x"]`, `["./rel"]`, `["found-in-path"]`},
	"type":         {`"oneshot"`},
	"remain":       {`true`},
	"instances":    {`2`},
	"user":         {`"www"`, `"www:web"`, `"33:33"`},
	"groups":       {`["adm","7"]`},
	"chroot":       {`"/jail"`},
	"chdir":        {`"/srv"`},
	"umask":        {`"0077"`},
	"env":          {`{"A":"b"}`, `{"a.b":"c"}`, `{"IFS":"x"}`, `{"PATH":"/opt"}`},
	"env_file":     {`["/etc/default/x"]`, `["-/etc/default/x"]`},
	"clear_env":    {`true`},
	"pass_env":     {`["TERM"]`},
	"stdin":        {`"inherit"`, `"/in"`},
	"stdout":       {`"null"`, `"inherit"`, `"/out"`, `"truncate:/out"`},
	"stderr":       {`"null"`, `"inherit"`, `"stdout"`, `"/err"`, `"truncate:/err"`},
	"pidfile":      {`"/run/x.pid"`},
	"lockfile":     {`"/run/x.lock"`},
	"cgroup":       {`"/sys/fs/cgroup/web"`},
	"nice":         {`5`},
	"oom_score":    {`-500`},
	"no_new_privs": {`true`},
	"cap":          {`[]`, `["net_bind_service"]`},

	"restart":        {`"no"`, `"always"`},
	"success":        {`[3]`, `["TERM"]`, `[3,"USR1"]`},
	"backoff.first":  {`"2s"`, `"0s"`},
	"backoff.factor": {`3`, `1`},
	"backoff.cap":    {`"10s"`},
	"backoff.jitter": {`0`},

	"budget.restarts": {`3`, `-1`, `0`},
	"budget.window":   {`"10m"`},
	"budget.retry":    {`"1h"`},
	"stop":            {`"INT"`, `"INT/5s/TERM/1m"`, `"RTMIN+3/forever"`},
	"stop_command":    {`["/bin/bye","now"]`},
	"stop_timeout":    {`"25s"`, `"forever"`},
	"stop_to":         {`"all"`},
	"reload":          {`"HUP"`, `"USR2"`},
	"reload_command":  {`["/bin/again"]`},

	"ready": {
		`"exec"`, `"settled:2s"`, `"settle:2s"`, `"notify"`, `"fd:5"`, `"tcp:127.0.0.1:80"`,
		`"unix:/run/x.sock"`, `"http://127.0.0.1:80/ok"`,
		`"cmd:test -e /x"`, `"log:ready"`, `"file:/run/x"`,
	},
	"timeout": {`"2m"`, `"forever"`},
	"liveness.check": {`"tcp:127.0.0.1:80"`, `"unix:/run/x.sock"`, `"http://127.0.0.1:80/ok"`,
		`"cmd:test -e /x"`, `"file:/x"`},
	"liveness.interval":  {`"20s"`},
	"liveness.timeout":   {`"1s"`},
	"liveness.threshold": {`7`},
	"liveness.grace":     {`"30s"`},
	"watchdog":           {`"20s"`},
	"notify_access":      {`"none"`, `"exec"`, `"all"`},
	"after":              {`["db"]`},
	"requires":           {`["db"]`},
	"wants":              {`["db"]`},
	"autostart":          {`false`},
	"schedule":           {`"0 3 * * *"`, `"30 4 1,15 * 5"`},
	"fdstore":            {`4`},
	"orphan":             {`"end"`},
	"overlap":            {`true`},
	"on_demand":          {`true`},
	"idle_stop":          {`"5m"`},

	"log.targets": {
		`["journald"]`, `["syslog"]`, `["syslog:udp:log:514"]`, `["stdout"]`, `["pipe:/bin/cat"]`,
		`["none"]`, `["journald","file"]`,
	},
	"log.file":        {`"/var/log/x.log"`},
	"log.error_file":  {`"/var/log/x.err"`},
	"log.mode":        {`"0600"`},
	"log.rotate_size": {`"1MiB"`, `"0B"`},
	"log.rotate_age":  {`"24h"`},
	"log.keep":        {`2`, `0`},
	"log.keep_age":    {`"240h"`},
	"log.compress":    {`"gzip"`, `"zstd"`},
	"log.timestamp":   {`"utc"`, `"local"`},
	"log.stream":      {`true`},
	"log.format":      {`"json"`},
	"log.facility":    {`"local3"`},
	"log.block":       {`true`},
	"log.buffer":      {`"2MiB"`},
	"log.max_wait":    {`"1s"`},
	"log.rate_limit":  {`"100/1s"`},
	"log.mask":        {`["secret"]`},

	"sockets.name": {`"http"`},
	"sockets.listen": {`"tcp:127.0.0.1:81"`, `"udp:127.0.0.1:81"`, `"unix:/run/y.sock"`,
		`"unixgram:/run/y"`, `"unixpacket:/run/y"`, `"fifo:/run/y"`},
	"sockets.owner":       {`"www:web"`},
	"sockets.mode":        {`"0660"`},
	"sockets.backlog":     {`16`},
	"sockets.v6only":      {`true`},
	"sockets.reuseport":   {`true`},
	"sockets.nonblocking": {`true`},

	"limits.memory":         {`"64MiB"`},
	"limits.memory_high":    {`"64MiB"`},
	"limits.memory_restart": {`"64MiB"`},
	"limits.swap":           {`"0B"`, `"64MiB"`},
	"limits.cpus":           {`1.5`},
	"limits.cpu_weight":     {`50`},
	"limits.io_weight":      {`50`},
	"limits.tasks":          {`50`},

	"sandbox.level":                     {`"off"`, `"strict"`},
	"sandbox.private_tmp":               {`true`, `false`},
	"sandbox.private_devices":           {`true`, `false`},
	"sandbox.private_network":           {`true`, `false`},
	"sandbox.protect_system":            {`"no"`, `"yes"`, `"full"`, `"strict"`},
	"sandbox.protect_home":              {`"no"`, `"yes"`, `"read-only"`, `"tmpfs"`},
	"sandbox.memory_deny_write_execute": {`true`, `false`},
	"sandbox.address_families":          {`["AF_UNIX"]`},
	"sandbox.system_calls":              {`["@system-service"]`},
	"sandbox.read_write":                {`["/var/lib/x"]`},
	"sandbox.read_only":                 {`["/etc/x"]`},
	"sandbox.inaccessible":              {`["/srv/secret"]`},
}

// with is what a field needs beside it.
var with = map[string]string{
	"remain":              `{"type":"oneshot"}`,
	"pass_env":            `{"clear_env":true}`,
	"schedule":            `{"type":"oneshot"}`,
	"on_demand":           `{"sockets":[{"listen":"tcp:127.0.0.1:80"}]}`,
	"idle_stop":           `{"on_demand":true,"sockets":[{"listen":"tcp:127.0.0.1:80"}]}`,
	"liveness.interval":   `{"liveness":{"check":"tcp:127.0.0.1:80"}}`,
	"liveness.timeout":    `{"liveness":{"check":"tcp:127.0.0.1:80"}}`,
	"liveness.threshold":  `{"liveness":{"check":"tcp:127.0.0.1:80"}}`,
	"liveness.grace":      `{"liveness":{"check":"tcp:127.0.0.1:80"}}`,
	"sockets.name":        `{"sockets":[{"listen":"unix:/run/x"}]}`,
	"sockets.listen":      `{"sockets":[{"listen":"unix:/run/x"}]}`,
	"sockets.owner":       `{"sockets":[{"listen":"unix:/run/x"}]}`,
	"sockets.mode":        `{"sockets":[{"listen":"unix:/run/x"}]}`,
	"sockets.backlog":     `{"sockets":[{"listen":"unix:/run/x"}]}`,
	"sockets.v6only":      `{"sockets":[{"listen":"tcp:[::]:80"}]}`,
	"sockets.reuseport":   `{"sockets":[{"listen":"tcp:[::]:80"}]}`,
	"sockets.nonblocking": `{"sockets":[{"listen":"tcp:[::]:80"}]}`,
}

// already are values that a target has anyway, so that nothing needs to change.
var already = map[string][]string{
	"systemd": {
		`log.targets = ["journald"]`, `no_new_privs = true`, `sandbox.private_tmp = true`,
		`sandbox.private_devices = true`, `sandbox.protect_home = "read-only"`,
		`sandbox.protect_system = "full"`,
	},
	"openrc":      {`restart = "always"`, `remain = true`, `stderr = "stdout"`},
	"sysv":        {`stderr = "stdout"`},
	"runit":       {`stderr = "stdout"`},
	"s6":          {`stderr = "stdout"`},
	"launchd":     {`stderr = "stdout"`},
	"kubernetes":  {`no_new_privs = true`, `restart = "always"`},
	"nomad":       {`restart = "always"`},
	"freebsd":     {`stderr = "stdout"`, `restart = "always"`},
	"supervisord": {`stderr = "stdout"`},
}

// TestEveryReadiness: whoever adds a kind of readiness decides here what writers see of it.
func TestEveryReadiness(t *testing.T) {
	for _, form := range spec.ProbeForms() {
		kind, _, _ := strings.Cut(form, ":")
		if !slices.ContainsFunc(samples["ready"],
			func(s string) bool {
				return strings.HasPrefix(s, `"`+kind+":") || s == `"`+kind+`"`
			}) {
			t.Errorf("ready of the kind %s has no sample", kind)
		}
	}
}

// TestEveryTargetIsTold: each package that writes is a target, and docs/export.md has its line.
func TestEveryTargetIsTold(t *testing.T) {
	dirs, err := filepath.Glob("../../../../internal/writers/*/*.go")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no writers: %v", err)
	}
	for _, file := range dirs {
		text, err := os.ReadFile(file)
		if name := filepath.Base(filepath.Dir(file)); err != nil ||
			strings.Contains(string(text), "\nfunc Target() writers.Target {") &&
				!slices.Contains(Names(), name) {
			t.Errorf("%s is none of the targets (all.go): %v", name, err)
		}
	}
	page, err := os.ReadFile("../../../../docs/export.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range Targets() {
		if !strings.Contains(string(page), "\n| `"+target.Name+"` | ") {
			t.Errorf("docs/export.md has no line for %s", target.Name)
		}
	}
}

// sampled is a field with one of its values.
type sampled struct {
	field, value string
	base, spec   spec.Service
}

// allSamples returns every sample of every field, and fails for a field that
// has none: whoever adds a field to spec decides here what writers see of it.
func allSamples(t *testing.T) []sampled {
	t.Helper()
	all := samplesOf(t, "rlimit", rlimits()...)
	for field := range samples {
		if !slices.Contains(writers.Fields(), field) {
			t.Errorf("there is no field %s", field)
		}
	}
	for _, field := range writers.Fields() {
		if values, ok := samples[field]; ok {
			all = append(all, samplesOf(t, field, values...)...)
		} else if !slices.Contains([]string{"name", "instance", "rlimit"}, field) {
			t.Errorf("field %s has no sample", field)
		}
	}
	return all
}

func rlimits() []string {
	var values []string
	for _, name := range spec.RlimitNames() {
		values = append(values, fmt.Sprintf(`{%q:"1024:2048"}`, name),
			fmt.Sprintf(`{%q:"64:unlimited"}`, name))
	}
	return values
}

func samplesOf(t *testing.T, field string, values ...string) []sampled {
	t.Helper()
	var all []sampled
	for _, value := range values {
		s := sampled{field, value, plainService(t, field), plainService(t, field)}
		document := value
		names := strings.Split(field, ".")
		for i := len(names) - 1; i >= 0; i-- {
			document = fmt.Sprintf("{%q:%s}", names[i], document)
		}
		target := any(&s.spec)
		if names[0] == "sockets" {
			document, target = fmt.Sprintf("{%q:%s}", names[1], value), &s.spec.Sockets[0]
		}
		if err := json.Unmarshal([]byte(document), target); err != nil {
			t.Fatalf("%s = %s: %v", field, value, err)
		}
		if p := s.spec.Validate(); p != nil {
			t.Fatalf("%s = %s: %v", field, value, p)
		}
		all = append(all, s)
	}
	return all
}

func plainService(t *testing.T, field string) spec.Service {
	t.Helper()
	s := spec.Service{Name: "web", Command: spec.Command{"/bin/web"}}
	if more := with[field]; more != "" {
		if err := json.Unmarshal([]byte(more), &s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestNothingIsLost: whatever a service says shows in the files of a target, or
// in a note about that very field.
func TestNothingIsLost(t *testing.T) {
	for _, target := range Targets() {
		for _, opts := range optionsOf(target) {
			for _, s := range allSamples(t) {
				before, err := target.Render([]spec.Service{s.base}, opts)
				if err != nil {
					t.Fatalf("%s: %v", target.Name, err)
				}
				after, err := target.Render([]spec.Service{s.spec}, opts)
				if err != nil {
					t.Errorf("%s: %s = %s: %v", target.Name, s.field, s.value, err)
					continue
				}
				if slices.Contains(already[target.Name], s.field+" = "+s.value) {
					continue
				}
				if sameFiles(before, after) && !hasNote(after, before, s.field) {
					t.Errorf("%s %+v: %s = %s is lost: the files are the same and no note says so",
						target.Name, opts, s.field, s.value)
				}
			}
		}
	}
}

func optionsOf(t writers.Target) []writers.Options {
	all := []writers.Options{{}, {Version: 257}}
	if t.UserDir != "" {
		all = append(all, writers.Options{User: true})
	}
	return all
}

func sameFiles(x, y writers.Output) bool {
	return slices.EqualFunc(x.Files, y.Files, func(a, b writers.File) bool {
		return a.Path == b.Path && a.Mode == b.Mode && string(a.Content) == string(b.Content)
	})
}

// hasNote wants a note of the field that was not there without its value.
func hasNote(after, before writers.Output, field string) bool {
	return slices.ContainsFunc(after.Notes, func(n writers.Note) bool {
		// No socket is without an address, so the plain one is noted as well.
		return n.Field == field && (field == "sockets.listen" || !slices.Contains(before.Notes, n))
	})
}
