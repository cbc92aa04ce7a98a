// Package bisect finds a minimal failing set of anything, with few questions.
//
// It is pure: what an item is and how one finds out whether a set fails is the
// caller's. It knows nothing of sysctls, replays or time.
package bisect
