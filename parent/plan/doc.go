// Package plan chooses what a writer is to write: which keys a run is about (Question), the
// candidates of each (New), and in which order and batches. It reads and writes nothing, and
// knows nothing of what came of it but the values that took effect. Start with Plan.
package plan
