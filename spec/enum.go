package spec

import (
	"slices"
	"strings"
)

// Type says when a service is up.
type Type string

const (
	Daemon  Type = "daemon"
	Oneshot Type = "oneshot"
)

// Restart says which ends of a process call for another one.
type Restart string

const (
	RestartNo        Restart = "no"
	RestartOnFailure Restart = "on-failure"
	RestartAlways    Restart = "always"
)

// NotifyAccess says whose sd_notify(3) messages count.
type NotifyAccess string

const (
	NotifyNone NotifyAccess = "none"
	NotifyMain NotifyAccess = "main"
	NotifyExec NotifyAccess = "exec"
	NotifyAll  NotifyAccess = "all"
)

// StopTo says which processes of a service get its stop signals.
type StopTo string

const (
	StopMain StopTo = "main"
	StopAll  StopTo = "all"
)

// Orphan says what becomes of a service whose supervisor is gone for good.
type Orphan string

const (
	OrphanLive Orphan = "live"
	OrphanEnd  Orphan = "end"
)

// Compress names the format of rotated log files.
type Compress string

const (
	CompressNone Compress = "none"
	CompressGzip Compress = "gzip"
	CompressZstd Compress = "zstd"
)

// Timestamp says whether, and in which zone, log lines carry their time.
type Timestamp string

const (
	TimestampNone  Timestamp = "none"
	TimestampUTC   Timestamp = "utc"
	TimestampLocal Timestamp = "local"
)

// LogFormat is the form of a line in a log file.
type LogFormat string

const (
	LogRaw  LogFormat = "raw"
	LogJSON LogFormat = "json"
)

// SandboxLevel is a starting point for the switches of [Sandbox].
type SandboxLevel string

const (
	SandboxDefault SandboxLevel = "default"
	SandboxOff     SandboxLevel = "off"
	SandboxStrict  SandboxLevel = "strict"
)

// ProtectSystem says which of the system's directories are read-only for the
// service (systemd.exec(5)).
type ProtectSystem string

const (
	ProtectSystemNo     ProtectSystem = "no"
	ProtectSystemYes    ProtectSystem = "yes"
	ProtectSystemFull   ProtectSystem = "full"
	ProtectSystemStrict ProtectSystem = "strict"
)

// ProtectHome says how the home directories are kept from the service
// (systemd.exec(5)).
type ProtectHome string

const (
	ProtectHomeNo       ProtectHome = "no"
	ProtectHomeYes      ProtectHome = "yes"
	ProtectHomeReadOnly ProtectHome = "read-only"
	ProtectHomeTmpfs    ProtectHome = "tmpfs"
)

// Values returns the legal values of each enumeration, for validation,
// schemas and completion.
func (Type) Values() []string    { return texts(Daemon, Oneshot) }
func (Restart) Values() []string { return texts(RestartNo, RestartOnFailure, RestartAlways) }
func (NotifyAccess) Values() []string {
	return texts(NotifyNone, NotifyMain, NotifyExec, NotifyAll)
}
func (StopTo) Values() []string       { return texts(StopMain, StopAll) }
func (Orphan) Values() []string       { return texts(OrphanLive, OrphanEnd) }
func (Compress) Values() []string     { return texts(CompressNone, CompressGzip, CompressZstd) }
func (Timestamp) Values() []string    { return texts(TimestampNone, TimestampUTC, TimestampLocal) }
func (LogFormat) Values() []string    { return texts(LogRaw, LogJSON) }
func (SandboxLevel) Values() []string { return texts(SandboxDefault, SandboxOff, SandboxStrict) }
func (ProtectSystem) Values() []string {
	return texts(ProtectSystemNo, ProtectSystemYes, ProtectSystemFull, ProtectSystemStrict)
}
func (ProtectHome) Values() []string {
	return texts(ProtectHomeNo, ProtectHomeYes, ProtectHomeReadOnly, ProtectHomeTmpfs)
}

// enum is a text with a fixed set of values.
type enum interface {
	~string
	Values() []string
}

func texts[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// checkEnum reports a value that is neither empty nor legal.
func checkEnum[T enum](p *problems, field string, value T) {
	if value != "" && !slices.Contains(value.Values(), string(value)) {
		p.hint(field, "must be one of "+strings.Join(value.Values(), ", "), "%q is not known",
			value)
	}
}
