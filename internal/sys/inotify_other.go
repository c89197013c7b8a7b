//go:build !linux

package sys

import "time"

type watcher struct{}

func newWatcher() (*Watcher, error)       { return nil, Unsupported("inotify") }
func (*watcher) add(string) error         { return Unsupported("inotify") }
func (*watcher) addNames(string) error    { return Unsupported("inotify") }
func (*watcher) wait(time.Duration) error { return Unsupported("inotify") }
func (*watcher) close() error             { return Unsupported("inotify") }
