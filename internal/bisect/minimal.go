package bisect

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrBudget is a search that ended before its answer was shown to be minimal.
var ErrBudget = errors.New("budget of calls exhausted")

// Minimal returns a subset of items, in their order, that fails and from which
// no single item can be taken without it ceasing to fail. That all items fail
// is given; that nothing fails by itself is too: neither is asked.
//
// fails is called at most budget times and never twice for the same subset; it
// must not keep or change the slice. calls says how often. Where err is not nil
// (ErrBudget, or what fails returned, as it came), set is the smallest set seen
// to fail, perhaps all items.
//
// Where more items never stop a set from failing, the answer is the cause that
// is complete first in the order of items, and for one of k among n items
//
//	calls <= k*(ceil(log2 n)+2) - 1
//
// so that one culprit costs ceil(log2 n)+1. Where items mask each other the
// answer is as minimal and as true, but the search may first end at some larger
// set of m items: calls <= m*(ceil(log2 n)+1) + m*(m+1)/2.
func Minimal[T any](items []T, budget int, fails func([]T) (bool, error)) (set []T, calls int, err error) {
	s := &search[T]{items: items, budget: budget, fails: fails, asked: map[string]bool{}}
	for i := range items {
		s.failing = append(s.failing, i)
	}
	if err = s.narrow(); err == nil {
		err = s.prune()
	}
	return s.pick(s.failing), s.calls, err
}

// search holds sets as ascending indices of items.
type search[T any] struct {
	items []T
	fails func([]T) (bool, error)
	// failing is the smallest set seen to fail. Only proper subsets of it are
	// asked about, so whichever of those fails takes its place.
	failing       []int
	asked         map[string]bool
	calls, budget int
}

// narrow looks for the shortest beginning of the items that fails: its last item
// is needed. Then for the shortest one that fails together with that item, and
// so on until the needed items fail alone. Each step keeps a beginning that
// fails and one that does not, so it is right whether or not more items fail more.
func (s *search[T]) narrow() error {
	for needed := 0; needed < len(s.failing); needed++ {
		tail := s.failing[len(s.failing)-needed:]
		if needed > 0 {
			if alone, err := s.ask(tail); alone || err != nil {
				return err
			}
		}
		passes := 0
		for len(s.failing)-needed-passes > 1 {
			mid := (passes + len(s.failing) - needed) / 2
			failed, err := s.ask(slices.Concat(s.failing[:mid], tail))
			if err != nil {
				return err
			}
			if !failed {
				passes = mid
			}
		}
	}
	return nil
}

// prune takes out single items for as long as what is left fails. It only finds
// one where items mask each other; otherwise it proves the set minimal.
func (s *search[T]) prune() error {
	for i := 0; len(s.failing) > 1 && i < len(s.failing); i++ {
		failed, err := s.ask(slices.Delete(slices.Clone(s.failing), i, i+1))
		if err != nil {
			return err
		}
		if failed {
			i = -1 // what was needed beside the item may not be any more
		}
	}
	return nil
}

func (s *search[T]) ask(set []int) (bool, error) {
	key := make([]byte, 0, 2*len(set))
	for _, i := range set {
		key = binary.AppendUvarint(key, uint64(i))
	}
	failed, known := s.asked[string(key)]
	if !known {
		if s.calls >= s.budget {
			return false, ErrBudget
		}
		s.calls++
		var err error
		if failed, err = s.fails(s.pick(set)); err != nil {
			return false, err
		}
		s.asked[string(key)] = failed
	}
	if failed {
		s.failing = set
	}
	return failed, nil
}

func (s *search[T]) pick(set []int) []T {
	picked := make([]T, len(set))
	for at, i := range set {
		picked[at] = s.items[i]
	}
	return picked
}
