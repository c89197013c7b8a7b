package spec

import (
	"maps"
	"math"
	"slices"
	"time"
)

// The defaults of fields whose default is not their zero value.
const (
	DefaultUmask             Mode     = 0o022
	DefaultSettled           Duration = Duration(250 * time.Millisecond) // how long at rest
	DefaultTimeout           Duration = Duration(30 * time.Second)
	DefaultStopTimeout       Duration = Duration(10 * time.Second)
	DefaultStopSignal        Signal   = "TERM"
	DefaultBackoffFirst      Duration = Duration(100 * time.Millisecond)
	DefaultBackoffFactor              = 2.0
	DefaultBackoffCap        Duration = Duration(30 * time.Second)
	DefaultBackoffJitter              = 0.2
	DefaultBudgetRestarts             = 10
	DefaultBudgetWindow      Duration = Duration(5 * time.Minute)
	DefaultLivenessInterval  Duration = Duration(10 * time.Second)
	DefaultLivenessTimeout   Duration = Duration(5 * time.Second)
	DefaultLivenessThreshold          = 3
	DefaultLogMode           Mode     = 0o640
	DefaultRotateSize        ByteSize = 10 << 20
	DefaultKeep                       = 5
	DefaultLogBuffer         ByteSize = 1 << 20
	DefaultLogMaxWait        Duration = Duration(100 * time.Millisecond)
	DefaultFacility                   = "daemon"
	DefaultSocketMode        Mode     = 0o600
	DefaultBacklog                    = 4096
)

// WithDefaults returns a copy of s in which every default is filled in: no
// pointer that has a default is nil. The copy shares nothing with s. It does
// not need s to be valid, and doing it twice changes nothing more.
func (s Service) WithDefaults() Service {
	s = s.Clone()
	setZero(&s.Type, Daemon)
	setZero(&s.Chdir, "/")
	setPointer(&s.Umask, DefaultUmask)
	setZero(&s.Stdin, Stream{Kind: StreamNull})
	setZero(&s.Stdout, Stream{Kind: StreamLog})
	setZero(&s.Stderr, Stream{Kind: StreamLog})
	if s.Ready.Kind == "" {
		s.Ready = Probe{Kind: ProbeSettled}
	}
	setPointer(&s.Timeout, DefaultTimeout)
	setZero(&s.NotifyAccess, NotifyMain)
	setPointer(&s.Autostart, true)
	setZero(&s.Orphan, OrphanLive)
	setZero(&s.Sandbox.Level, SandboxDefault)
	s.Supervision.fill(s.Type)
	s.Liveness.fill()
	s.Log.fill()
	for i := range s.Sockets {
		setZero(&s.Sockets[i].Name, s.Name)
		setPointer(&s.Sockets[i].Mode, DefaultSocketMode)
		setZero(&s.Sockets[i].Backlog, DefaultBacklog)
	}
	return s
}

func (s *Supervision) fill(t Type) {
	if t == Oneshot {
		setZero(&s.Restart, RestartNo)
	}
	setZero(&s.Restart, RestartOnFailure)
	setPointer(&s.Backoff.First, DefaultBackoffFirst)
	setPointer(&s.Backoff.Factor, DefaultBackoffFactor)
	setPointer(&s.Backoff.Cap, DefaultBackoffCap)
	setPointer(&s.Backoff.Jitter, DefaultBackoffJitter)
	setPointer(&s.Budget.Restarts, DefaultBudgetRestarts)
	setPointer(&s.Budget.Window, DefaultBudgetWindow)
	setPointer(&s.StopTimeout, DefaultStopTimeout)
	setZero(&s.StopTo, StopMain)
	if len(s.Stop) == 0 {
		s.Stop = StopSchedule{{Signal: DefaultStopSignal}}
	}
	for i := range s.Stop {
		setZero(&s.Stop[i].Wait, *s.StopTimeout)
	}
}

func (l *Liveness) fill() {
	setPointer(&l.Interval, DefaultLivenessInterval)
	setPointer(&l.Timeout, DefaultLivenessTimeout)
	setPointer(&l.Threshold, DefaultLivenessThreshold)
}

func (l *Log) fill() {
	if len(l.Targets) == 0 {
		l.Targets = []LogTarget{{Kind: TargetFile}}
	}
	setPointer(&l.Mode, DefaultLogMode)
	setPointer(&l.RotateSize, DefaultRotateSize)
	setPointer(&l.Keep, DefaultKeep)
	setZero(&l.Compress, CompressNone)
	setZero(&l.Timestamp, TimestampNone)
	setZero(&l.Format, LogRaw)
	setZero(&l.Facility, DefaultFacility)
	setPointer(&l.Buffer, DefaultLogBuffer)
	setZero(&l.MaxWait, DefaultLogMaxWait)
}

func setPointer[T any](dst **T, value T) {
	if *dst == nil {
		*dst = &value
	}
}

func setZero[T comparable](dst *T, value T) {
	var zero T
	if *dst == zero {
		*dst = value
	}
}

// Clone returns a copy of s that shares neither map, slice nor pointer with it. By reflection it
// would be shorter, and take ten times as long: each service is copied several times on its way up.
func (s Service) Clone() Service {
	s.Labels, s.Env, s.Rlimit = maps.Clone(s.Labels), maps.Clone(s.Env), maps.Clone(s.Rlimit)
	s.Sockets = slices.Clone(s.Sockets)
	for i := range s.Sockets {
		s.Sockets[i].Mode = clonePointer(s.Sockets[i].Mode)
		s.Sockets[i].V6Only = clonePointer(s.Sockets[i].V6Only)
	}
	s.Log.Targets, s.Stop = slices.Clone(s.Log.Targets), slices.Clone(s.Stop)
	for _, c := range []*Command{&s.Command, &s.StopCommand, &s.ReloadCommand} {
		*c = slices.Clone(*c)
	}
	for _, list := range []*[]string{
		&s.After, &s.Requires, &s.Wants, &s.Groups, &s.EnvFile, &s.PassEnv, &s.Cap, &s.Log.Mask,
		&s.Sandbox.AddressFamilies, &s.Sandbox.SystemCalls, &s.Sandbox.ReadWrite,
		&s.Sandbox.ReadOnly, &s.Sandbox.Inaccessible,
	} {
		*list = slices.Clone(*list)
	}
	s.Success = ExitSet{slices.Clone(s.Success.Codes), slices.Clone(s.Success.Signals)}
	for _, d := range []**Duration{
		&s.Timeout, &s.StopTimeout, &s.Backoff.First, &s.Backoff.Cap, &s.Budget.Window,
		&s.Liveness.Interval, &s.Liveness.Timeout,
	} {
		*d = clonePointer(*d)
	}
	for _, n := range []**int{
		&s.Nice, &s.OOMScore, &s.Budget.Restarts, &s.Liveness.Threshold, &s.Log.Keep,
	} {
		*n = clonePointer(*n)
	}
	for _, b := range []**bool{
		&s.Autostart, &s.Sandbox.PrivateTmp, &s.Sandbox.PrivateDevices, &s.Sandbox.PrivateNetwork,
		&s.Sandbox.MemoryDenyWriteExecute,
	} {
		*b = clonePointer(*b)
	}
	s.Umask, s.Log.Mode = clonePointer(s.Umask), clonePointer(s.Log.Mode)
	s.Backoff.Factor, s.Backoff.Jitter = clonePointer(s.Backoff.Factor),
		clonePointer(s.Backoff.Jitter)
	s.Limits.Swap = clonePointer(s.Limits.Swap)
	s.Log.RotateSize, s.Log.Buffer = clonePointer(s.Log.RotateSize), clonePointer(s.Log.Buffer)
	return s
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// Delay returns the time to wait before the n-th restart in a row, n from 1.
// random is a number in [0, 1) that places the delay in its jitter. Fields that
// are nil have their defaults.
func (b Backoff) Delay(n int, random float64) time.Duration {
	setPointer(&b.First, DefaultBackoffFirst)
	setPointer(&b.Factor, DefaultBackoffFactor)
	setPointer(&b.Cap, DefaultBackoffCap)
	setPointer(&b.Jitter, DefaultBackoffJitter)
	delay := float64(*b.First) * math.Pow(*b.Factor, float64(max(n, 1)-1))
	// Beyond the cap lies infinity too; 0 × infinity is not a number.
	if *b.First == 0 {
		delay = 0
	}
	delay = min(delay, float64(*b.Cap))
	return time.Duration(delay * (1 - *b.Jitter*random))
}
