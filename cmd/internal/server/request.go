package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/daemonry/daemonry/control"
	"github.com/daemonry/daemonry/spec"
)

const (
	// maxBody bounds the body of a request: a description of 10,000 services fits.
	maxBody = 8 << 20
	// maxServices bounds what a body of "{},{},…" can make us allocate: a
	// description takes three bytes there and thousands in memory.
	maxServices = 20_000
)

// decode reads the body as one JSON object without unknown fields, to its end.
// Until there the client has the server's ReadTimeout; then net/http lifts the
// deadline, in order to see the client leave, and the answer may take as long as it needs.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	err := strict(http.MaxBytesReader(w, r.Body, maxBody), v)
	if err != nil {
		w.Header().Set("Connection", "close") // what is left of the body nobody reads
		return decodeError(err)
	}
	return nil
}

// strict decodes one value and nothing after it.
func strict(from io.Reader, v any) error {
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	switch _, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		if _, syntax := errors.AsType[*json.SyntaxError](err); !syntax {
			return err
		}
	}
	return errors.New("something follows the object")
}

func decodeError(err error) error {
	var (
		large  *http.MaxBytesError
		wrong  *json.UnmarshalTypeError
		syntax *json.SyntaxError
		hint   *spec.HintError
	)
	switch {
	case errors.As(err, &large):
		return failed(control.TooLarge, "", "the body is larger than %d bytes", large.Limit)
	case errors.As(err, &syntax):
		return badRequest("", "the body is not JSON: %v at byte %d", err, syntax.Offset)
	case errors.As(err, &wrong):
		return badRequest("", "%s: the type %s is wrong here",
			strings.TrimSuffix("the body: "+wrong.Field, ": "), wrong.Value)
	case errors.As(err, &hint):
		return badRequest(hint.Hint, "the body: %s", hint.Message)
	case errors.Is(err, io.EOF):
		return badRequest("send a JSON object", "the body is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest("", "the body ends in the middle")
	}
	return badRequest("", "the body: %s", strings.Replace(err.Error(), "json: ", "", 1))
}

// applyBody is a control.ApplyRequest that is read with care.
type applyBody struct {
	control.ApplyRequest
	Services serviceList `json:"services"` // hides the field of that name
}

type serviceList []spec.Service

// UnmarshalJSON reads one description after the other, counting.
func (l *serviceList) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("services must be an array")
	}
	*l = serviceList{}
	for d.More() {
		if len(*l) == maxServices {
			return fmt.Errorf("services: more than %d", maxServices)
		}
		var s spec.Service
		if err := d.Decode(&s); err != nil {
			return fmt.Errorf("services[%d]: %w", len(*l), err)
		}
		*l = append(*l, s)
	}
	return nil
}

// chosen checks that a request says which services it means. None stands for all of them.
func chosen(n control.Names) ([]string, error) {
	switch {
	case n.All && len(n.Names) > 0:
		return nil, badRequest("", "both names and all")
	case !n.All && len(n.Names) == 0:
		return nil, badRequest(`say {"all": true} if you mean every service`, "no names")
	case slices.Contains(n.Names, ""):
		return nil, badRequest("", "an empty name")
	}
	return n.Names, nil
}

// query returns the parameters of a request, of which only the known may occur.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("", "the query: %v", err)
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return nil, badRequest("known are: "+strings.Join(known, ", "), "unknown parameter %q",
				name)
		}
		if name != "name" && name != "stream" && len(values) > 1 {
			return nil, badRequest("", "parameter %q is there twice", name)
		}
	}
	return q, nil
}

// toggle reads a parameter that is on or off.
func toggle(q url.Values, name string) (bool, error) {
	switch q.Get(name) {
	case "1", "true":
		return true, nil
	case "", "0", "false":
		return false, nil
	}
	return false, badRequest("it is 1 or 0", "parameter %q is %q", name, q.Get(name))
}
