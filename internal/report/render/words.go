package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// longValue is the length in bytes above which a value is cut in the middle.
const longValue = 72

func plural(n int, what string) string { return report.Plural(n, what) }

// dotted is the form of a key for people.
func dotted(key string) string { return sysctl.Key(key).Shown() }

// whole is the same of a key that may have been split up for JSON.
func whole(key string, b64 []byte) string { return dotted(report.Whole(key, b64)) }

// value is a value for people, on one line and not too long.
func value(s report.Shown, o Options) string {
	v := strings.ReplaceAll(s.String(), "\t", " ")
	if r := []rune(v); len(r) > longValue && !o.Verbose {
		v = string(r[:longValue/2]) + "[...]" + string(r[len(r)-longValue/4:])
	}
	return v
}

func change(c report.Change, o Options) string {
	before, after := c.Shown()
	return value(before, o) + " -> " + value(after, o)
}

// assignment is a write for people.
func assignment(c report.Cause, o Options) string {
	a := c.Attempt
	return whole(c.Key, c.KeyB64) + " = " + value(report.Shown{Text: a.Value, B64: a.ValueB64}, o)
}

// outcome is what became of an attempt.
func outcome(a report.Attempt, o Options) string {
	v := value(report.Shown{Text: a.Value, B64: a.ValueB64}, o)
	s := v + ": " + cmp.Or(a.Errno, "taken")
	if a.After != nil {
		s += ", reads " + value(report.Shown{Text: a.After, B64: a.AfterB64}, o)
	}
	return s
}

// tried sums up the attempts on an untested key: "3 tried: 2 EINVAL, 1 without
// effect". With effect is what made the writer read something else than before.
func tried(k report.Key) string {
	n, outcomes := 0, map[string]int{}
	for _, w := range k.Writers {
		before := report.Shown{Text: w.Value, B64: w.ValueB64, Errno: w.View.Errno}.String()
		for _, a := range w.Attempts {
			n++
			after := report.Shown{Text: a.After, B64: a.AfterB64}.String()
			switch {
			case a.Errno != "":
				outcomes[a.Errno]++
			case a.After != nil && after != before:
				outcomes["with effect"]++
			default:
				outcomes["without effect"]++
			}
			if a.After != nil {
				before = after
			}
		}
	}
	if n == 0 {
		return ""
	}
	var parts []string
	for what, times := range outcomes {
		parts = append(parts, fmt.Sprintf("%d %s", times, what))
	}
	slices.Sort(parts)
	return fmt.Sprintf("%d tried: %s", n, strings.Join(parts, ", "))
}

// reason is what an untested_reason means.
func reason(r report.Reason) string {
	switch r {
	case report.ReasonRefused:
		return "every value tried was rejected or without effect"
	case report.ReasonNoCandidate:
		return "no value to try is known"
	case report.ReasonLatched:
		return "already at the one value that it can be changed to"
	case report.ReasonOneWay:
		return "could not be put back until reboot, so it was not written"
	case report.ReasonRestless:
		return "it moves by itself on an observer, so no change of it proves anything"
	case report.ReasonUnobserved:
		return "an observer or the writer itself cannot read it"
	case report.ReasonCrowded:
		return "it belongs to a device of the host that fresh namespaces got no counterpart of"
	case report.ReasonUnresolved:
		return "may be the cause of a leak that could not be narrowed down"
	case report.ReasonUnconfirmed:
		return "the key changed on an observer, and no replay shows whether a write to it was the cause"
	case report.ReasonStopped:
		return "the run ended before its turn"
	}
	return ""
}
