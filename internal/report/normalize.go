package report

import (
	"cmp"
	"slices"
)

// Normalize sorts what has no order of its own, by key, and makes empty lists
// and maps of nil ones, so that readers of the JSON find no null in their place.
func (r *Report) Normalize() {
	r.SchemaVersion = SchemaVersion
	r.showKeys()
	empty(&r.Run.Arguments)
	empty(&r.Run.Writers)
	empty(&r.Run.NotRestored)
	empty(&r.Run.Observe)
	empty(&r.Run.Skipped)
	empty(&r.Warnings)
	empty(&r.Host.Modules)
	empty(&r.Host.Devices)
	empty(&r.KernelMessages)
	if r.Counts.Verdicts == nil {
		r.Counts.Verdicts = map[Verdict]int{}
	}
	for _, v := range Verdicts() {
		r.Counts.Verdicts[v] += 0 // readers find them all
	}
	by(&r.Run.NotRestored, func(n NotRestored) string { return n.Key })
	by(&r.Leaks, Leak.firstCause)
	by(&r.Unconfirmed, func(e Effect) string { return e.Key })
	by(&r.Keys, func(k Key) string { return k.Key })
	for i := range r.Leaks {
		l := &r.Leaks[i]
		empty(&l.Cause)
		by(&l.Effects, func(e Effect) string { return e.Key })
		by(&l.Evidence.Candidates, func(c Cause) string { return c.Key })
	}
	for i := range r.Answers {
		if r.Answers[i].Writers == nil {
			r.Answers[i].Writers = map[string]Setting{}
		}
	}
	for i := range r.Plan {
		empty(&r.Plan[i].Candidates)
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Writers == nil {
			k.Writers = map[string]Writer{}
		}
		for name, w := range k.Writers {
			empty(&w.Attempts)
			k.Writers[name] = w
		}
	}
}

// firstCause is the key that a leak is sorted by: where the cause is not known,
// that of an effect.
func (l Leak) firstCause() string {
	if len(l.Cause) > 0 {
		return l.Cause[0].Key
	}
	if len(l.Effects) > 0 {
		return l.Effects[0].Key
	}
	return ""
}

func empty[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// by sorts stably: host, sibling, later stay in the order they were found in.
func by[T any](list *[]T, key func(T) string) {
	empty(list)
	slices.SortStableFunc(*list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}
