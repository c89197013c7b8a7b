package server

import (
	"bytes"
	"testing"

	"github.com/daemonry/daemonry/control"
)

// Whatever a body is, it is read or refused with an error for people, and what
// was read says what it means.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"names": ["web"]}`, `{"all": true}`, `{"names": ["a"], "signal": "TERM"}`,
		`{"names": [""], "state": "ready", "timeout": "1s"}`,
		`{"services": [{"name": "web", "command": "sleep 1", "ready": "notify", "env": {"A": "b"}}], "source": "x", "plan": true}`,
		`{"services": [{"name": "web", "instances": 9999999999}]}`, `{"services": [{}, {}]`,
		`{"services": null}`, `[]`, `nul`, `{} {}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		explained := func(err error) bool {
			e := errorOf(decodeError(err))
			return e.Message != "" && e.Code == control.BadRequest
		}
		var apply applyBody
		if err := strict(bytes.NewReader(body), &apply); err != nil && !explained(err) {
			t.Errorf("%v is not explained", err)
		} else if err == nil && checkCount(apply.Services) == nil {
			total := 0
			for _, s := range apply.Services {
				total += max(1, s.Instances)
			}
			if total > maxServices {
				t.Errorf("%d services and instances are let through", total)
			}
		}
		var wait control.WaitRequest
		var signal control.SignalRequest
		for _, v := range []any{&wait, &signal} {
			if err := strict(bytes.NewReader(body), v); err != nil && !explained(err) {
				t.Errorf("%v is not explained", err)
			}
		}
		if names, err := chosen(wait.Names); err == nil && wait.All != (len(names) == 0) {
			t.Errorf("%+v chooses %q", wait.Names, names)
		}
	})
}
