// Package journal is what is kept of a run for whoever puts the host back after
// it was killed: how the host was found, and what may have been written since.
// It knows the file's format, how it is made and read, and which changes of the
// host the writes explain (Journal.Judge). docs/restore.md describes it.
//
// Putting back does not belong here: see parent.
package journal
