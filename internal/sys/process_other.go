//go:build !unix

package sys

func setThreadCredential(Credential, KeepCaps) error { return Unsupported("setuid") }
func maySetGroups() bool                             { return false }
func verifyCredential(Credential, CapSet) error      { return Unsupported("getuid") }
func dropBounding(CapSet) error                      { return Unsupported("capabilities") }
func setThreadCapabilities(CapSet, Ambient) error    { return Unsupported("capabilities") }
func threadCapabilities() (CapSet, error)            { return 0, Unsupported("capabilities") }
func setNoNewPrivs() error                           { return Unsupported("no_new_privs") }
func setOOMScoreAdj(int) error                       { return Unsupported("oom_score_adj") }
func joinCgroup(string) error                        { return Unsupported("control groups") }
func becomeSubreaper() error                         { return Unsupported("child subreaper") }
func unshareFS() error                               { return Unsupported("unshare") }
func setNice(int) error                              { return Unsupported("setpriority") }
func chroot(string) error                            { return Unsupported("chroot") }
func umask(int) int                                  { return 0 }
func setrlimit(int, Rlimit) error                    { return Unsupported("setrlimit") }
