package spawn

// rlimitAS is no resource of OpenBSD's.
const rlimitAS = -1
