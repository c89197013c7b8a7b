//go:build linux

package server

import (
	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

// operation is what the description says of a route.
type operation struct {
	route   string // METHOD PATH
	summary string
	params  []param
	in, out any    // types of body and answer; nil: none
	content string // of the answer, if it is not JSON
	codes   []control.Code
	also    int // another status with the same answer
}

type param struct{ name, kind, help string }

func operations() []operation {
	name := param{"name", "path", "The service."}
	names := param{"name", "query", "Only this service, or all instances of it; may be repeated."}
	usage := param{
		"usage", "query", "1 fills in cpu and memory, which costs two reads of /proc a service.",
	}
	described := param{"spec", "query", "1 fills in spec, the description with all defaults."}
	follow := param{"follow", "query", "1 goes on with what happens."}
	change := func(verb, summary string) operation {
		return operation{
			route:   "POST /v1/services/" + verb,
			summary: summary,
			in:      control.Names{},
			out:     control.Done{},
			codes:   []control.Code{control.NotFound, control.NotDone},
		}
	}
	return []operation{
		{route: "GET /v1/supervisor", summary: "The supervisor itself.", out: control.Supervisor{}},
		{
			route:   "GET /v1/health",
			summary: "Whether every service that is to be up is: 200 if so, else 503.",
			out:     control.Health{}, also: 503,
		},
		{
			route: "GET /v1/services", summary: "Services by name.",
			params: []param{names, usage, described}, out: []control.Status{},
			codes: []control.Code{control.NotFound},
		},
		{
			route: "GET /v1/services/{name}", summary: "One service.",
			params: []param{name, usage, described}, out: control.Status{},
			codes: []control.Code{control.NotFound},
		},
		{
			route:   "GET /v1/services/{name}/spec",
			summary: "The description of a service, with all defaults.", params: []param{name},
			out: spec.Service{}, codes: []control.Code{control.NotFound},
		},
		{
			route: "GET /v1/services/{name}/logs", summary: "What a service has printed.",
			content: "text/plain; charset=utf-8", params: []param{
				name,
				{"n", "query", "The last so many lines, at most 10000; -1 for all. If absent 10, " +
					"with since or until all."},
				{"since", "query", "Only what is not older: RFC 3339, or a duration before now."},
				{"until", "query", "Only what is not newer: the same."},
				{"grep", "query", "Only lines that match this regular expression (RE2)."},
				{"stream", "query", "Only standard output (out) or error (err), or what the log " +
					"engine says itself (log); may be repeated."}, follow,
			},
			codes: []control.Code{control.NotFound, control.NotDone},
		},
		{
			route: "POST /v1/apply",
			summary: "Make reality match a set of descriptions; answered when what was started " +
				"is ready or has failed.",
			in: control.ApplyRequest{}, out: control.Applied{},
			codes: []control.Code{control.NotDone, control.Invalid},
		},
		change("start", "Start services, and those they require or want; answered when each is "+
			"ready or has failed."),
		change("stop", "Stop services and hold them; answered when nothing is left of them."),
		{
			route: "POST /v1/services/restart",
			summary: "Stop services and start them, or replace their processes one after the " +
				"other; answered when they are ready again.",
			in: control.RestartRequest{}, out: control.Done{},
			codes: []control.Code{control.NotFound, control.NotDone},
		},
		change("reload", "Have services read their configuration anew."),
		change("remove", "Stop services and forget them. Their logs stay."),
		change("reopen", "Open the log files of services anew, by the names that they have now."),
		{
			route:   "POST /v1/services/signal",
			summary: "Send a signal to the main process of each service.",
			in:      control.SignalRequest{}, out: control.Done{},
			codes: []control.Code{control.NotFound, control.NotDone},
		},
		{
			route: "POST /v1/services/wait", summary: "Answered when every service is in a state.",
			in: control.WaitRequest{}, out: control.Done{},
			codes: []control.Code{control.NotFound, control.NotDone, control.TimedOut},
		},
		{
			route: "GET /v1/events", summary: "What has happened, a JSON object a line. An empty " +
				"line is a sign of life.", content: "application/x-ndjson", out: control.Event{},
			params: []param{
				{"after", "query", "Events with a higher id; \"now\" for none of the past."},
				follow, names,
			},
		},
		{
			route: "POST /v1/upgrade",
			summary: "Execute another program in the supervisor's process; answered when that " +
				"has proven that it can go on.",
			in: control.UpgradeRequest{}, out: control.Upgrade{},
			codes: []control.Code{control.NotDone},
		},
		{
			route:   "POST /v1/shutdown",
			summary: "End the supervisor; answered when every service has stopped.",
			in:      control.Done{}, out: control.Done{},
		},
		{route: "GET /metrics", summary: "The Prometheus text format, if it is switched on.",
			content: "text/plain; version=0.0.4; charset=utf-8",
			codes:   []control.Code{control.NotFound}},
	}
}
