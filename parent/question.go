package parent

import (
	"fmt"
	"maps"
	"slices"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/plan"
)

// Unmatched is the error of a question about no key. Nothing was written.
type Unmatched string

func (e Unmatched) Error() string { return string(e) }

// question is which keys the run is about.
func (o Options) question() plan.Question {
	return plan.Question{Include: o.Include, Exclude: o.Exclude, Lines: o.Lines, Covered: o.Covered}
}

// checkQuestion wants a key for each pattern: on the host, or in a fresh namespace.
// It comes when these are known, and before anything is written.
func (r *run) checkQuestion() error {
	mine := keysIn(r.writerBase)
	fresh := slices.Concat(mine, slices.Collect(maps.Keys(r.siblingBase)), slices.Collect(maps.Keys(r.controlBase)))
	all := append(keysIn(r.host.Baseline().OfNetwork()), fresh...)
	slices.Sort(all)
	all = slices.Compact(all)
	for _, list := range []struct {
		flag  string
		globs []sysctl.Glob
	}{{"--include", r.o.Include}, {"--exclude", r.o.Exclude}, {"--allow-untested", r.o.AllowUntested}} {
		for _, g := range list.globs {
			why := ""
			switch {
			case !slices.ContainsFunc(all, g.Match):
				why = plan.NoSuchKey(g, all)
			case list.flag == "--include" && len(r.o.Writers) == 1 && !slices.ContainsFunc(mine, g.Match) && slices.ContainsFunc(fresh, g.Match):
				why = fmt.Sprintf("hidden from the writer %s; --writers root,userns asks about both", r.writer)
			default:
				continue
			}
			err := Unmatched(escape.Line(fmt.Sprintf("%s %s: %s", list.flag, g, why)))
			if !r.o.Lenient {
				return err
			}
			r.warn("%s", err)
		}
	}
	switch {
	case slices.ContainsFunc(all, r.question.Asks):
		return nil
	case len(r.o.Lines) > 0:
		return Unmatched("--keys-from: no line asks about a key below net/ that this kernel has")
	case len(r.o.Include)+len(r.o.Exclude) > 0:
		return Unmatched("--include and --exclude leave no key to ask about")
	}
	return nil
}

func keysIn(s sysctl.Snapshot) []sysctl.Key {
	keys := make([]sysctl.Key, len(s))
	for i, e := range s {
		keys[i] = e.Key
	}
	return keys
}
