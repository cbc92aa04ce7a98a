package parent

import (
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Writer is who makes the writes.
type Writer string

// The writers.
const (
	// WriterRoot is root in a network namespace that belongs to the initial user
	// namespace: a container of an ordinary runtime.
	WriterRoot Writer = "root"
	// WriterUserNS is root in a user namespace of its own, and an ordinary user
	// outside of it: what anybody may do.
	WriterUserNS Writer = "userns"
)

func (w Writer) role() Role {
	if w == WriterUserNS {
		return RoleUserWriter
	}
	return RoleWriter
}

// writer is the inverse of Writer.role; it is empty for children that only watch.
func (r Role) writer() Writer {
	switch r {
	case RoleWriter:
		return WriterRoot
	case RoleUserWriter:
		return WriterUserNS
	}
	return ""
}

// writing is what is known of one writer: every writer goes through the plan.
type writing struct {
	writer     Writer
	writerBase sysctl.Snapshot
	plan       []planned
	sample     string // the device that stands for all
	passes     int
	writes     []write             // of the passes, not of replays
	closed     int                 // how many of them belong to passes that were completed
	atRest     int                 // how many of them can have no effect any more
	proven     map[sysctl.Key]bool // shown to be isolated by a replay
	// doubts is what may be restless or late; watchedLong is the places of which that
	// has been looked into.
	doubts      map[place]effect
	watchedLong map[place]bool
}

// switchTo begins with a writer; what is written from now on is written by it.
func (r *run) switchTo(w Writer) {
	r.writing = &writing{writer: w, proven: map[sysctl.Key]bool{}, doubts: map[place]effect{}, watchedLong: map[place]bool{}}
	r.writings = append(r.writings, r.writing)
}
