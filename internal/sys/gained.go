package sys

// GainedPrivileges says whether this process got more rights by executing its program than it had
// before: the program is set-user-ID or set-group-ID, or its file has capabilities (AT_SECURE,
// getauxval(3)). Where that cannot be told it says yes; elsewhere than on Linux, no.
func GainedPrivileges() bool { return gainedPrivileges() }
