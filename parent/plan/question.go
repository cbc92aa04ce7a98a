package plan

import (
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/keyfile"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Question is which keys a run is about.
type Question struct {
	// Include and Exclude choose keys; no Include, and no Lines, means all.
	Include, Exclude []sysctl.Glob
	// Lines ask about keys, too, and have values to try first.
	Lines keyfile.Lines
	// Covered is where something is mounted over the host's keys.
	Covered []string
}

// Asks tells whether the question is about a key, too.
func (q Question) Asks(k sysctl.Key) bool {
	match := func(g sysctl.Glob) bool { return g.Match(k) }
	if slices.ContainsFunc(q.Exclude, match) {
		return false
	}
	return len(q.Include)+len(q.Lines) == 0 || slices.ContainsFunc(q.Include, match) || len(q.Lines.For(k)) > 0
}

// Covers tells that something is mounted where the host has the key, or would have it.
func (q Question) Covers(k sysctl.Key) bool {
	return slices.ContainsFunc(q.Covered, func(path string) bool {
		return string(k) == path || strings.HasPrefix(string(k), path+"/")
	})
}
