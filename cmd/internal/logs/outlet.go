package logs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
	"github.com/daemonry/daemonry/cmd/internal/logs/target"
)

// Kind is a kind of Target.
type Kind uint8

// The kinds of targets.
const (
	Syslog  Kind = iota + 1 // RFC 5424
	Journal                 // systemd's journal
	Console                 // Options.Console
	Program                 // a program's standard input, started by Options.StartProgram
)

// Target is a place for a stream's lines beside its files. Streams with equal targets share one
// connection, except to a Program.
type Target struct {
	Kind Kind
	// of Syslog, see target.Syslog; of Journal, Addr may be another socket than systemd's
	Network, Addr string
	// of Syslog
	Facility int
	TLS      *tls.Config
	Command  string // of Program
}

// record is one line on its way to a target.
type record struct {
	when   int64
	stream line.Stream
	more   bool
	text   []byte
}

// recordCost is what a record takes of a buffer beside its text.
const recordCost = 64

// outlet keeps what one stream has for one target until the target takes it. Its fields belong to
// the sender's mutex.
type outlet struct {
	id     string
	to     *sender
	max    int
	queue  []record
	bytes  int // what they take, with those the sender is busy with
	drop   stage.Drop
	queued bool // in the sender's list
}

// full says whether the outlet would drop now.
func (o *outlet) full() bool {
	o.to.mu.Lock()
	defer o.to.mu.Unlock()
	return o.bytes >= o.max
}

// put takes a line over, or drops and counts it if what waits is more than max. It never waits.
func (o *outlet) put(when int64, s line.Stream, text []byte, more, keep bool) {
	t := o.to
	t.mu.Lock()
	defer t.mu.Unlock()
	cost := len(text) + recordCost
	if o.bytes > 0 && o.bytes+cost > o.max && !keep {
		o.drop.Bytes += int64(len(text))
		if !more {
			o.drop.Bytes++
			o.drop.Lines++
		}
		if o.drop.First == 0 {
			o.drop.First = when
		}
		o.drop.Last = when
		return
	}
	o.tellDropped()
	o.queue = append(o.queue, record{when, s, more, append([]byte(nil), text...)})
	o.bytes += cost
	t.enlist(o)
}

// tellDropped queues the notice of what has been dropped since the last line.
func (o *outlet) tellDropped() {
	if o.drop.Bytes == 0 {
		return
	}
	text := noticeText(&o.drop, o.to.why)
	o.queue = append(o.queue, record{o.drop.Last, line.Log, false, text})
	o.bytes += len(text) + recordCost
	o.drop = stage.Drop{}
}

// sender brings the lines of any number of outlets to one destination. Its goroutine lives while
// there are any.
type sender struct {
	key  Target
	name string // of the stream, if it has the sender to itself
	dest target.Dest
	e    *Engine

	mu      sync.Mutex
	list    []*outlet // with something to send, in order of their turns
	poked   bool      // the destination itself wants a turn
	running bool
	stopped bool
	why     error         // of the last failure
	closing chan struct{} // closed: no more attempts after a failure
	idle    *sync.Cond    // running became false
	users   int           // outlets; under Engine.mu
}

func (t *sender) enlist(o *outlet) {
	if !o.queued {
		o.queued = true
		t.list = append(t.list, o)
	}
	t.wake()
}

func (t *sender) wake() {
	if !t.running {
		t.running = true
		go t.run()
	}
}

// poke gives the destination a turn even if there is nothing to send.
func (t *sender) poke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.poked = true
		t.wake()
	}
}

// Delays between attempts at a destination that fails.
const (
	retryFirst = 100 * time.Millisecond
	retryMax   = 5 * time.Second
)

func (t *sender) run() {
	delay := retryFirst
	for {
		o, batch, more := t.next()
		if !more {
			return
		}
		n, err := t.dest.Send(batch)
		if t.sent(o, n, err) {
			delay = retryFirst
			continue
		}
		select {
		case <-t.closing:
			t.mu.Lock()
			t.running = false
			t.idle.Broadcast()
			t.mu.Unlock()
			return
		case <-time.After(delay):
			delay = min(delay*2, retryMax)
		}
	}
}

// next returns the first outlet in the list and what it has, or neither, if it is the destination's
// own turn. That there is nothing more to do ends the goroutine.
func (t *sender) next() (o *outlet, batch []target.Record, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) == 0 && !t.poked {
		t.running = false
		t.idle.Broadcast()
		return nil, nil, false
	}
	t.poked = false // what comes after this, this turn may have come too early for
	if len(t.list) == 0 {
		return nil, nil, true
	}
	o = t.list[0]
	for _, r := range o.queue {
		batch = append(batch, target.Record{Service: o.id, Stream: r.stream,
			Time: time.Unix(0, r.when), Text: r.text, More: r.more})
		if len(batch) == 256 {
			break
		}
	}
	return o, batch, true
}

// sent notes what became of the turn, takes the first n records off the outlet, and gives the turn
// to the next one.
func (t *sender) sent(o *outlet, n int, err error) bool {
	t.mu.Lock()
	news := (err == nil) != (t.why == nil)
	if o != nil {
		t.take(o, n, err)
	}
	t.why = err
	t.poked = t.poked || o == nil && err != nil
	t.mu.Unlock()
	if news {
		t.e.trouble(t.name, err)
	}
	return err == nil
}

func (t *sender) take(o *outlet, n int, err error) {
	for _, r := range o.queue[:n] {
		o.bytes -= len(r.text) + recordCost
	}
	clear(o.queue[:n]) // let go of the texts
	o.queue = o.queue[n:]
	if len(o.queue) == 0 && err == nil {
		o.tellDropped()
	}
	switch {
	case len(o.queue) == 0:
		o.queue, o.queued = nil, false
		t.list = t.list[1:]
	case err == nil:
		t.list = append(t.list[1:], o)
	}
}

// stop lets the sender send what it can without waiting, or until the deadline, and closes the
// destination.
func (t *sender) stop(deadline time.Time) error {
	timer := time.AfterFunc(time.Until(deadline), func() { close(t.closing) })
	t.mu.Lock()
	for t.running {
		t.idle.Wait()
	}
	t.stopped = true
	var lost int
	for _, o := range t.list {
		lost += len(o.queue)
	}
	why := t.why
	t.mu.Unlock()
	timer.Stop()
	err := t.dest.Close()
	if lost > 0 {
		err = errors.Join(err, fmt.Errorf("%d lines could not be sent: %w", lost, why))
	}
	return err
}

// newSender makes the sender for a target of the stream id.
func (e *Engine) newSender(id string, t Target) (*sender, error) {
	s := &sender{key: t, e: e, closing: make(chan struct{})}
	s.idle = sync.NewCond(&s.mu)
	var err error
	switch t.Kind {
	case Syslog:
		s.dest, err = target.NewSyslog(
			target.Syslog{Network: t.Network, Addr: t.Addr, Facility: t.Facility, TLS: t.TLS},
		)
	case Journal:
		s.dest = target.NewJournal(t.Addr)
	case Console:
		s.dest = target.NewConsole(e.opts.Console)
		if e.opts.Console.File == nil {
			err = errors.New("log target: there is no console")
		}
	case Program:
		s.name = id
		s.dest = target.NewProgram(func(stdin *os.File) (<-chan struct{}, error) {
			return e.opts.StartProgram(id, t.Command, stdin)
		}, s.poke)
		if e.opts.StartProgram == nil {
			err = errors.New("log target: programs cannot be started here")
		}
	default:
		err = fmt.Errorf("log target: unknown kind %d", t.Kind)
	}
	return s, err
}

// openOutlets returns an outlet for each target. e.mu is held.
func (e *Engine) openOutlets(id string, cfg *Config) ([]*outlet, error) {
	var outlets []*outlet
	for _, t := range cfg.Targets {
		var to *sender
		if t.Kind != Program {
			to = e.senders[t]
		}
		if to == nil {
			var err error
			if to, err = e.newSender(id, t); err != nil {
				e.closeOutlets(outlets)
				return nil, err
			}
			if t.Kind != Program {
				e.senders[t] = to
			}
		}
		to.users++
		outlets = append(outlets, &outlet{id: id, to: to, max: cfg.Buffer})
	}
	return outlets, nil
}

// closeOutlets ends the use of outlets; what is in them is still sent. e.mu is held.
func (e *Engine) closeOutlets(outlets []*outlet) {
	for _, o := range outlets {
		t := o.to
		if t.users--; t.users > 0 {
			continue
		}
		if e.senders[t.key] == t {
			delete(e.senders, t.key)
		}
		deadline := time.Now().Add(flushTime)
		e.flushing.Go(func() {
			if err := t.stop(deadline); err != nil {
				e.trouble(t.name, err)
			}
		})
	}
}

// flushTime is how long a target may take for its last lines after its last stream has been closed.
const flushTime = 2 * time.Second
