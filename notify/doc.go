// Package notify says ready, reloading, stopping, status and watchdog to whoever
// started us, and reads and writes the messages that do so.
//
// The protocol is that of sd_notify(3), spoken by systemd, by Daemonry's own
// supervisor and by others; a Client sends, Message.Encode and Parse are the two
// directions of the codec. Client.Ready also serves those that wait for a newline
// on a descriptor: s6, OpenRC, dinit.
//
// Every sending method answers three ways, so that a program can run under a
// manager and by hand without asking which it is:
//
//	sent == true,  err == nil   the message is with the receiver's kernel
//	sent == false, err == nil   nobody asked: no address, no descriptor
//	err != nil                  somebody asked and could not be told, or the message is wrong
//
// That a message is sent does not say that it was read; Client.Barrier does.
//
// There is no state in the package and nothing happens at import.
package notify
