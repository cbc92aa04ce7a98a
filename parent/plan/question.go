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

// NoSuchKey says what may have been meant by a pattern that matches none of the keys.
func NoSuchKey(g sysctl.Glob, keys []sysctl.Key) string {
	if g.Elsewhere() {
		return "not below net/, so no network namespace has it"
	}
	if g.Wild() {
		return "no key below net/ matches (* stays within one element, ** spans them)"
	}
	if like := sysctl.Similar(g.Path(), keys); len(like) > 0 {
		return "no such key: did you mean " + strings.Join(like, " or ") + "?"
	}
	return "no such key below net/"
}
