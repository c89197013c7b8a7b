//go:build !unix

package sys

import "os"

func openUnixDatagram() (int, error) { return -1, Unsupported("unix datagram socket") }

func openVsock(int) (int, error) { return -1, Unsupported("vsock socket") }

func bind(int, Address) error { return Unsupported("bind") }

func bindVsockPrivileged(int) error { return Unsupported("vsock bind") }

func connect(int, Address) error { return Unsupported("connect") }

func socketConnected(int) (bool, error) { return false, Unsupported("getsockopt") }

func socketName(int) (string, error) { return "", Unsupported("getsockname") }

func setSocketMode(int, os.FileMode) error { return Unsupported("fchmod of a socket") }

func passCredentials(int) error { return Unsupported("setsockopt") }

func shutdownWrite(int) error { return Unsupported("shutdown") }

func sendMsg(int, []byte, []int, *Sender) (int, error) { return 0, Unsupported("sendmsg") }

func recvMsg(int, []byte) (Packet, error) { return Packet{}, Unsupported("recvmsg") }

func kindOf(int) (SocketKind, error) { return SocketKind{}, Unsupported("fstat") }
