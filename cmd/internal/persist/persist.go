// Package persist keeps what a supervisor must find again after it was killed: a journal of records
// that is true at every moment, who owns it, and files that are written in the background.
//
// It knows nothing of what the records and files say.
package persist
