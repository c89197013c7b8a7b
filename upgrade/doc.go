// Package upgrade replaces the running binary without dropping a connection.
//
//	u, err := upgrade.New(upgrade.Options{})          // first of all
//	…
//	l, err := u.Listen("http", "tcp", ":8080")
//	…
//	go func() { served <- srv.Serve(l) }()
//	err = u.Ready()                                   // up, and the main process
//	…
//	<-u.Exit()                                        // a successor serves
//	l.Close()
//	<-served
//	srv.Shutdown(ctx)
//	err = u.Close()
//
// The listener is closed first, because Shutdown of net/http does not wait for a connection that
// Serve has accepted in the same moment.
//
// On SIGHUP, or when Upgrade is called, the program's file is started anew,
// with the same arguments and environment. It begins in the directory in which the first process
// was started, where relative paths of its arguments mean what they meant there, and is in the
// predecessor's from New, or Detach of package daemonry, on. It gets the
// listeners as sd_listen_fds(3) says, by name, and its main runs as always: the
// same Listen that opened a socket in the first process finds it open. Both
// processes accept connections from when the new one serves until, once it has
// called Ready, the old one is told by Exit to finish what it is at. The sockets
// are never closed in between, so the port never refuses.
//
// If the new process does not come up, it is ended and the old one goes on, whatever
// the reason: no such file, another architecture, a crash, a time-out, or an older
// version (Options.Version). The error says which, with the last words of the new process.
//
// # Who watches
//
// The pid changes. A daemon made by package daemonry hands over its pid file, log
// and inherited files, and the lock on the pid file is never released. A manager that
// speaks sd_notify(3), such as systemd or Daemonry's own supervisor, is told
// RELOADING=1, then MAINPID= and READY=1 in one message. For a manager that knows
// only the process it started, see Options.KeepPID, which is implied for process 1.
//
// Everything here works on Unix; elsewhere New returns an error that wraps
// errors.ErrUnsupported. See docs/upgrade.md.
package upgrade
