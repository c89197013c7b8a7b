//go:build !unix

package sys

import "time"

type poller struct{}

func newPoller() (*Poller, error)                            { return nil, Unsupported("poll") }
func (*poller) add(int, int32) error                         { return Unsupported("poll") }
func (*poller) arm(int, int32) error                         { return Unsupported("poll") }
func (*poller) remove(int) error                             { return Unsupported("poll") }
func (*poller) wait([]PollEvent, time.Duration) (int, error) { return 0, Unsupported("poll") }
func (*poller) wake() error                                  { return Unsupported("poll") }
func (*poller) close() error                                 { return Unsupported("poll") }
