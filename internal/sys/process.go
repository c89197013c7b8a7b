package sys

// Credential is who a process is: numeric ids, so that no user database is
// needed where there is none (a chroot, a static program).
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups, all of them; nil means none
}

// KeepCaps says whether permitted capabilities survive a change of uid.
type KeepCaps uint8

const (
	DropCaps   KeepCaps = iota // as the kernel does: all gone when root is gone
	RetainCaps                 // kept in the permitted set
)

// CapSet is a set of capabilities, bit N for capability N of capabilities(7).
type CapSet uint64

// Ambient says whether capabilities go into the ambient set.
type Ambient uint8

const (
	NoAmbient Ambient = iota
	RaiseAmbient
)

// Rlimit is a soft and a hard limit; RlimitInfinity is none.
type Rlimit struct{ Soft, Hard uint64 }

// RlimitInfinity stands for no limit on every platform, whatever RLIM_INFINITY is there.
const RlimitInfinity = ^uint64(0)
