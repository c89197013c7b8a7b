//go:build !unix

package sys

func makeFIFO(string, uint32) error      { return Unsupported("mkfifo") }
func openFIFOReader(string) (int, error) { return -1, Unsupported("mkfifo") }
func openFIFOBoth(string) (int, error)   { return -1, Unsupported("mkfifo") }
func openFIFOAgain(int) (int, error)     { return -1, Unsupported("mkfifo") }
func pipeFill(int) (int, error)          { return 0, Unsupported("ioctl(FIONREAD)") }
func pipeSize(int) (int, error)          { return 0, Unsupported("fcntl(F_GETPIPE_SZ)") }
func setPipeSize(int, int) (int, error)  { return 0, Unsupported("fcntl(F_SETPIPE_SZ)") }
func newPipe() (int, int, error)         { return -1, -1, Unsupported("pipe") }
