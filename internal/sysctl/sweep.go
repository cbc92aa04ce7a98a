package sysctl

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Sweeper notices what changed in a tree since its baseline. It is not for
// concurrent use.
type Sweeper struct {
	tree     Tree
	reader   Reader
	baseline Snapshot
	expected map[Key]State
}

// NewSweeper surveys the tree and takes that as the baseline.
func NewSweeper(t Tree) (*Sweeper, error) {
	r := t.Keep()
	base, err := Survey(t, r)
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("survey: %w", err)
	}
	return newSweeper(t, r, base), nil
}

// NewSweeperFrom takes a baseline from elsewhere, sorted by key.
func NewSweeperFrom(t Tree, base Snapshot) *Sweeper { return newSweeper(t, t.Keep(), base) }

func newSweeper(t Tree, r Reader, base Snapshot) *Sweeper {
	s := &Sweeper{tree: t, reader: r, baseline: base, expected: make(map[Key]State, len(base))}
	s.ExpectBaseline()
	return s
}

// Baseline is the first survey. It never changes.
func (s *Sweeper) Baseline() Snapshot { return s.baseline }

// Found is a key as the first survey had it; the zero Entry where there was none.
func (s *Sweeper) Found(k Key) Entry {
	if i, ok := slices.BinarySearchFunc(s.baseline, k, func(e Entry, k Key) int { return cmp.Compare(e.Key, k) }); ok {
		return s.baseline[i]
	}
	return Entry{}
}

// Expect makes a state the one that sweeps compare with from now on.
func (s *Sweeper) Expect(k Key, st State) {
	if st == Absent {
		delete(s.expected, k)
		return
	}
	s.expected[k] = st
}

// ExpectBaseline makes sweeps compare with the baseline again.
func (s *Sweeper) ExpectBaseline() {
	clear(s.expected)
	for _, e := range s.baseline {
		s.expected[e.Key] = e.State
	}
}

// Expected is the state that sweeps compare a key with.
func (s *Sweeper) Expected(k Key) State {
	if st, ok := s.expected[k]; ok {
		return st
	}
	return Absent
}

// Look reads one key now.
func (s *Sweeper) Look(k Key) State {
	if s.Expected(k).Errno == errWriteOnly {
		if _, err := s.tree.Mode(k); errors.Is(err, fs.ErrNotExist) {
			return Absent
		}
		return s.Expected(k) // could not be read, and cannot now: the mode is fixed
	}
	return s.reader.Read(k)
}

// Sweep reads every key again and returns those that are not as expected,
// sorted, with those that appeared and disappeared.
func (s *Sweeper) Sweep() ([]Change, error) {
	keys, err := s.tree.List()
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	var changes []Change
	seen := 0
	for _, k := range keys {
		before, ok := s.expected[k]
		if !ok {
			before = Absent
		} else {
			seen++
		}
		if before.Errno == errWriteOnly {
			continue // could not be read, and cannot now: the mode is fixed
		}
		if after := s.reader.Read(k); after != before {
			changes = append(changes, Change{k, before, after})
		}
	}
	if seen < len(s.expected) {
		slices.Sort(keys)
		for k, before := range s.expected {
			if _, found := slices.BinarySearch(keys, k); !found {
				changes = append(changes, Change{k, before, Absent})
			}
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Key, b.Key) })
	return changes, nil
}

// SweepKnown is Sweep for the keys that are expected: without a list, which takes half of
// the time, none is seen to appear.
func (s *Sweeper) SweepKnown() []Change {
	var changes []Change
	for k, before := range s.expected {
		if before.Errno == errWriteOnly {
			continue
		}
		if after := s.reader.Read(k); after != before {
			changes = append(changes, Change{k, before, after})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Key, b.Key) })
	return changes
}

// Check reads some keys again and returns those that are not as expected, in
// their order.
func (s *Sweeper) Check(keys []Key) []Change {
	var changes []Change
	for _, k := range keys {
		if before, after := s.Expected(k), s.Look(k); after != before {
			changes = append(changes, Change{k, before, after})
		}
	}
	return changes
}

// Close ends the kept descriptors.
func (s *Sweeper) Close() error { return s.reader.Close() }
