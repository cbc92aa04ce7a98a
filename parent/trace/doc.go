// Package trace has the words in which a run speaks of what was written and what was
// seen: Write, Place, Effect. They are values: nothing here starts, reads, writes or waits.
// Start with Write and Effect.
package trace
