package server

import (
	"net/http"
	"runtime/debug"
	"time"
)

// spareDelay is how long nobody has asked for anything when memory is given back.
const spareDelay = 5 * time.Second

// spare gives memory back to the system once it is quiet. What a description or the state of
// thousands of services takes while it is read or written is many times what they take for good,
// and the runtime would keep it for the next time (runtime/debug.FreeOSMemory, GOGC).
type spare struct {
	http.Handler
	timer *time.Timer
}

func newSpare(h http.Handler) *spare {
	return &spare{h, time.AfterFunc(spareDelay, debug.FreeOSMemory)}
}

func (s *spare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.timer.Reset(spareDelay)
	s.Handler.ServeHTTP(w, r)
}

func (s *spare) stop() { s.timer.Stop() }
