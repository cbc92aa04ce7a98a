package parent

import (
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// writing is what is known of one writer: every writer goes through the plan.
type writing struct {
	writer     trace.Writer
	writerBase sysctl.Snapshot
	plan       *plan.Plan
	passes     int
	writes     []trace.Write       // of the passes, not of replays
	closed     int                 // how many of them belong to passes that were completed
	atRest     int                 // how many of them can have no effect any more
	proven     map[sysctl.Key]bool // shown to be isolated by a replay
	// doubts is what may be restless or late; watchedLong is the places of which that
	// has been looked into.
	doubts      map[trace.Place]trace.Effect
	watchedLong map[trace.Place]bool
}

// switchTo begins with a writer; what is written from now on is written by it.
func (r *run) switchTo(w trace.Writer) {
	r.writing = &writing{writer: w, plan: &plan.Plan{}, proven: map[sysctl.Key]bool{}, doubts: map[trace.Place]trace.Effect{}, watchedLong: map[trace.Place]bool{}}
	r.writings = append(r.writings, r.writing)
}
