//go:build !unix

package sys

func openSocket(int, int) (int, error) { return -1, Unsupported("socket") }

func bindInet(int, InetAddr) error { return Unsupported("bind") }

func localInet(int) (InetAddr, error) { return InetAddr{}, Unsupported("getsockname") }

func listen(int, int) error { return Unsupported("listen") }

func setReuseAddr(int) error { return Unsupported("SO_REUSEADDR") }

func setV6Only(int, bool) error { return Unsupported("IPV6_V6ONLY") }

func readable([]int) (bool, error) { return false, Unsupported("poll") }

func newFIFO(string, uint32) error { return Unsupported("mkfifo") }
