package simkernel

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
)

// recorder is a guard that remembers what may be written.
type recorder struct{ told map[parent.Exact]bool }

func (*recorder) Begin(parent.Found) error { return nil }
func (*recorder) Child(int)                {}
func (*recorder) Confirm([]sysctl.Key)     {}
func (*recorder) End(bool) error           { return nil }

func (r *recorder) Announce(a parent.Announcement) error {
	for _, it := range a.Items {
		for _, v := range slices.Concat(it.Candidates, it.Avoid) {
			r.told[parent.Exact{Key: it.Key, Value: v}] = true
		}
	}
	for _, w := range a.Writes {
		r.told[parent.Exact{Key: w.Key, Value: w.Value}] = true
	}
	return nil
}
