package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/daemonry/daemonry/spec"
)

// Client asks a supervisor. Fill in where it is; then the methods may be
// called from any goroutine. An error that the supervisor answers is an
// [*Error]; if none answers, it is an [*UnreachableError].
//
// A context that ends, ends the waiting alone: what the supervisor has begun
// it brings to its end.
type Client struct {
	// Socket is the path of the supervisor's socket. Its directory decides who
	// can have planted it: see to it that it is the user's own.
	Socket string
	// Address is HOST:PORT of a supervisor that listens on TCP, if Socket is empty.
	Address string
	// TLS is used with Address. Nil means no TLS, which a supervisor accepts
	// on loopback addresses only.
	TLS *tls.Config
	// Token is shown to a supervisor that demands one.
	Token string
	// WrapTransport, if set, is given the transport that reaches the supervisor, and returns the
	// one that requests go through: to trace them, or to bound them. It is called once.
	WrapTransport func(http.RoundTripper) http.RoundTripper

	once sync.Once
	http *http.Client
	kept *http.Transport
}

// Supervisor returns what there is to know about the supervisor.
func (c *Client) Supervisor(ctx context.Context) (s Supervisor, err error) {
	err = c.get(ctx, "/supervisor", nil, &s)
	return s, err
}

// Status returns services by name. One that does not exist is an error that wraps [NotFound].
func (c *Client) Status(ctx context.Context, r StatusRequest) (list []Status, err error) {
	q := url.Values{}
	if len(r.Names) > 0 {
		q["name"] = r.Names
	}
	if r.Usage {
		q.Set("usage", "1")
	}
	if r.Spec {
		q.Set("spec", "1")
	}
	err = c.get(ctx, "/services", q, &list)
	if r.Spec && errors.Is(err, BadRequest) { // a supervisor that is older than the question
		return c.statusAndSpecs(ctx, r)
	}
	return list, err
}

// statusAndSpecs asks for the description of each service by itself.
func (c *Client) statusAndSpecs(ctx context.Context, r StatusRequest) ([]Status, error) {
	r.Spec = false
	all, err := c.Status(ctx, r)
	list := all[:0]
	for _, st := range all {
		s, err := c.Spec(ctx, st.Name)
		if len(r.Names) == 0 && errors.Is(err, NotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		st.Spec = &s
		list = append(list, st)
	}
	return list, err
}

// Spec returns the description of a service with all defaults.
func (c *Client) Spec(ctx context.Context, name string) (s spec.Service, err error) {
	err = c.get(ctx, "/services/"+url.PathEscape(name)+"/spec", nil, &s)
	return s, err
}

// Health tells whether every service that is to be up is.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	err := c.get(ctx, "/health", nil, &h)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "" {
		return Health{NotReady: e.notReady}, nil // the status says no, and the body is a Health
	}
	return h, err
}

// Apply makes reality match a set of descriptions, and returns the plan and,
// when every service of it that is to be up is ready or has failed, whoever started it, whether all
// are up: an error with code [NotDone] says which are not, and the plan is there all the same.
func (c *Client) Apply(ctx context.Context, r ApplyRequest) ([]Planned, error) {
	var answer Applied
	err := c.post(ctx, "/apply", r, &answer)
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Plan, err
	}
	return answer.Plan, err
}

// Start starts services, and those that they require or want, and returns when
// each is ready or has failed: the [Error] has the failures.
func (c *Client) Start(ctx context.Context, n Names) error { return c.change(ctx, "start", n) }

// Stop stops services, and holds them: neither "up" nor the next supervisor
// starts them. It returns when nothing is left of them.
func (c *Client) Stop(ctx context.Context, n Names) error { return c.change(ctx, "stop", n) }

// Restart stops services and starts them, and returns when they are ready again.
func (c *Client) Restart(ctx context.Context, n Names) error {
	err := c.postOnce(ctx, "/services/restart", n, new(Done))
	// it has begun, and goes on; to ask for it again would be one more
	if errors.Is(err, Upgrading) {
		return c.Start(ctx, n)
	}
	return err
}

// RestartRolling replaces the process of each service, one after the other, by
// one that has become ready beside it on the same sockets, and returns when the
// last old one is gone. It ends at the first that does not come up, whose old
// process goes on: the [Error] has the failure.
func (c *Client) RestartRolling(ctx context.Context, n Names) error {
	return c.change(ctx, "restart", RestartRequest{Names: n, Rolling: true})
}

// Upgrade has the supervisor execute another program in its process, and returns that one's own
// answer when it is there. Services do not notice. A program that cannot go on with them is not
// executed, and the error says why: the supervisor goes on as it was.
func (c *Client) Upgrade(ctx context.Context, r UpgradeRequest) (s Supervisor, err error) {
	before, err := c.Supervisor(ctx)
	if err != nil {
		return s, err
	}
	if err := c.post(ctx, "/upgrade", r, new(Upgrade)); err != nil {
		return s, err
	}
	c.Close()                  // a connection to the old program would be answered by that
	s, err = c.Supervisor(ctx) // asked of whoever is there then
	if err == nil && s.Started.Equal(before.Started) {
		err = &Error{
			Message: s.UpgradeError,
			Hint:    "the supervisor goes on as it was",
			Code:    NotDone,
		}
	}
	return s, err
}

// Reload has services read their configuration anew, and returns when they have, as far as they
// tell.
func (c *Client) Reload(ctx context.Context, n Names) error { return c.change(ctx, "reload", n) }

// Remove stops services and forgets them. Their logs stay.
func (c *Client) Remove(ctx context.Context, n Names) error { return c.change(ctx, "remove", n) }

// ReopenLogs has the log files of services opened anew, by the names that they have now: for who
// renames them, such as logrotate(8).
func (c *Client) ReopenLogs(ctx context.Context, n Names) error {
	return c.change(ctx, "reopen", n)
}

// Signal sends a signal to the main process of each service.
func (c *Client) Signal(ctx context.Context, r SignalRequest) error {
	return c.change(ctx, "signal", r)
}

// Wait returns when every service is in the state asked for. Nothing is
// started or stopped for it.
func (c *Client) Wait(ctx context.Context, r WaitRequest) error { return c.change(ctx, "wait", r) }

// Shutdown ends the supervisor, and returns when every service has stopped.
// What is wanted of each stays on disk.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.post(ctx, "/shutdown", Done{}, new(Done))
}

// Close closes the connections that are kept for the next request.
func (c *Client) Close() {
	c.client()
	c.kept.CloseIdleConnections()
}

func (c *Client) change(ctx context.Context, verb string, body any) error {
	return c.post(ctx, "/services/"+verb, body, new(Done))
}

func (c *Client) get(ctx context.Context, path string, q url.Values, answer any) error {
	return again(func() error { return c.do(ctx, "GET", path, q, nil, answer) })
}

func (c *Client) post(ctx context.Context, path string, body, answer any) error {
	return again(func() error { return c.postOnce(ctx, path, body, answer) })
}

func (c *Client) postOnce(ctx context.Context, path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.do(ctx, "POST", path, nil, data, answer)
}

// again asks anew while the supervisor's program is being replaced: its successor, which takes the
// connection when it is there.
func again(ask func() error) error {
	for {
		if err := ask(); !errors.Is(err, Upgrading) {
			return err
		}
	}
}

// do sends a request and decodes the answer.
func (c *Client) do(
	ctx context.Context, method, path string, q url.Values, body []byte, answer any,
) error {
	resp, err := c.send(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("read the supervisor's answer to %s: %w", path, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) // to its end, or it is not kept
	return nil
}

// send sends a request for an escaped path; an answer other than success is an error.
func (c *Client) send(
	ctx context.Context, method, path string, q url.Values, body []byte,
) (*http.Response, error) {
	address := "http://daemonry"
	if c.Socket == "" {
		address = "http://" + c.Address
		if c.TLS != nil {
			address = "https://" + c.Address
		}
	}
	address += "/" + Version + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return nil, c.transportError(path, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// transportError takes out what the HTTP client wraps around.
func (c *Client) transportError(path string, err error) error {
	if u, ok := errors.AsType[*UnreachableError](err); ok {
		return u
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	return fmt.Errorf("ask the supervisor for %s: %w", path, err)
}

// maxError bounds what is read of an error.
const maxError = 8 << 20

func readError(resp *http.Response) error {
	var answer struct {
		Error
		NotReady []string `json:"not_ready"`
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	if err != nil {
		return fmt.Errorf("the supervisor answers %s, and no reason that can be read: %w",
			resp.Status, err)
	}
	e := answer.Error
	e.notReady = answer.NotReady
	if e.Message == "" {
		e.Message = resp.Status
	}
	return &e
}

// client makes the HTTP client on first use. No proxy and no redirect comes in
// between: what is said here is for the supervisor alone.
func (c *Client) client() *http.Client {
	c.once.Do(func() {
		c.kept = &http.Transport{
			DialContext:        c.dial,
			TLSClientConfig:    c.TLS,
			DisableCompression: true,
		}
		c.http = &http.Client{
			Transport: c.kept,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		}
		if c.Socket != "" {
			c.kept.IdleConnTimeout = socketIdle
			fresh := c.kept.Clone()
			fresh.DisableKeepAlives = true
			c.http.Transport = &local{kept: c.kept, fresh: fresh}
		}
		if c.WrapTransport != nil {
			c.http.Transport = c.WrapTransport(c.http.Transport)
		}
	})
	return c.http
}

// socketIdle is how long a connection to a socket is kept for the next question: another one costs
// next to nothing, and a supervisor has few.
const socketIdle = 100 * time.Millisecond

// local is the transport to a supervisor's socket. A connection that is kept may be closed in the
// moment in which it is used again. A question is asked again then (net/http.Transport), and finds
// a new one; a request that changes something has one of its own from the start.
type local struct{ kept, fresh *http.Transport }

func (l *local) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return l.kept.RoundTrip(r)
	}
	return l.fresh.RoundTrip(r)
}

func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.Socket != "" {
		network, address = "unix", c.Socket
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil && ctx.Err() == nil {
		return nil, &UnreachableError{Address: address, Err: err}
	}
	return conn, err
}

// values of an EventsRequest.
func (r EventsRequest) values() url.Values {
	q := url.Values{}
	switch {
	case r.New:
		q.Set("after", "now")
	case r.After > 0:
		q.Set("after", strconv.FormatUint(r.After, 10))
	}
	if r.Follow {
		q.Set("follow", "1")
	}
	if len(r.Names) > 0 {
		q["name"] = r.Names
	}
	return q
}

// values of a LogsRequest.
func (r LogsRequest) values() url.Values {
	q := url.Values{"n": {strconv.Itoa(r.Lines)}}
	if r.Follow {
		q.Set("follow", "1")
	}
	if !r.Since.IsZero() {
		q.Set("since", r.Since.Format(time.RFC3339Nano))
	}
	if !r.Until.IsZero() {
		q.Set("until", r.Until.Format(time.RFC3339Nano))
	}
	if r.Grep != "" {
		q.Set("grep", r.Grep)
	}
	if len(r.Streams) > 0 {
		q["stream"] = r.Streams
	}
	return q
}
