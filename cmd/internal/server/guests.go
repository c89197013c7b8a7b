package server

import (
	"net"
	"slices"
	"sync"
	"time"
)

// guests are the connections of a listener that nobody has been let in on yet: silent ones, such as
// take long over their first request, strangers. Where there is no room left they make way, so that
// a few hundred of them keep nobody out.
type guests struct {
	mu   sync.Mutex
	list []*guest // the oldest first
}

type guest struct {
	since time.Time
	conn  net.Conn
	peer  string // the host; empty of a Unix socket
}

// patience is how long a connection has a place for itself before anybody has been let in on it.
const patience = time.Second

func (g *guests) add(c net.Conn) *guest {
	peer, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	one := &guest{time.Now(), c, peer}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, one)
	return one
}

// remove is for one that has gone, or has been let in.
func (g *guests) remove(one *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.list, one); i >= 0 {
		g.list = slices.Delete(g.list, i, i+1)
	}
}

// takeOne takes a connection on which nobody was let in for long, one of the host that has most of
// them. If there is none it returns how long it takes until there may be one.
func (g *guests) takeOne(now time.Time) (one *guest, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.list) == 0 {
		return nil, patience // all are at work; but one may come and go between two looks
	}
	if wait = patience - now.Sub(g.list[0].since); wait > 0 {
		return nil, wait
	}
	count := map[string]int{}
	for _, one := range g.list {
		count[one.peer]++
	}
	victim := 0
	for i, one := range g.list {
		if now.Sub(one.since) >= patience && count[one.peer] > count[g.list[victim].peer] {
			victim = i
		}
	}
	one = g.list[victim]
	g.list = slices.Delete(g.list, victim, victim+1)
	return one, 0
}

// takePlace waits for room for one more connection.
func (l *limited) takePlace() error {
	for {
		select {
		case l.free <- struct{}{}:
			return nil
		case <-l.closed:
			return net.ErrClosed
		default:
		}
		one, wait := l.guests.takeOne(time.Now())
		if one != nil {
			_ = one.conn.Close() // whoever reads from it finds out, and closes what is left
			// What it had may be given back a moment later, or it is the next one's turn.
			continue
		}
		select {
		case l.free <- struct{}{}:
			return nil
		case <-l.closed:
			return net.ErrClosed
		case <-time.After(wait):
		}
	}
}
