// Package listen takes over sockets handed to us, checked and by name.
//
// The protocol is that of sd_listen_fds(3), spoken by systemd, by Daemonry's own
// supervisor, by systemd-socket-activate(1) and by others: the descriptors from 3
// on, described by LISTEN_PID, LISTEN_PIDFDID, LISTEN_FDS and LISTEN_FDNAMES.
//
// A program that runs both ways, handed its sockets or alone, asks for each by
// name and says where to listen if there is none:
//
//	sockets, err := listen.Take()
//	…
//	web, err := sockets.Listen("web", listen.Address{Network: "tcp", Address: ":8080"})
//	…
//	err = sockets.Close() // what was handed over and is not used
//
// Nothing happens at import.
package listen
