package bisect

import "math/bits"

// Singles finds for many effects at once which single item causes each: by
// tests of some of the items, as many for a thousand effects as for one. That
// all items together show all effects, and none of them shows any, is given.
//
// Each item is in half of the tests, and no two are in the same ones, so that
// the tests that show an effect spell out its item. An effect that several items
// cause shows in more than half of them, and one that takes several in fewer:
// such effects are not in the answer, which has an index of items for the others.
// For n items there are as many tests as a word needs bits, if half of them are
// set, to have n such words: 10 for 252, 13 for 1716.
//
// shows must not keep or change the slice; effects that were not asked about may
// be in its answer. Its error ends the search, and comes back as it is.
func Singles[T any, E comparable](items []T, effects []E, shows func([]T) ([]E, error)) (map[E]int, error) {
	words, tests := halfSet(len(items))
	spelt := make(map[E]uint, len(effects))
	for bit := range tests {
		var some []T
		for i, w := range words {
			if w&(1<<bit) != 0 {
				some = append(some, items[i])
			}
		}
		shown, err := shows(some)
		if err != nil {
			return nil, err
		}
		for _, e := range shown {
			spelt[e] |= 1 << bit
		}
	}
	index := make(map[uint]int, len(words))
	for i, w := range words {
		index[w] = i
	}
	found := map[E]int{}
	for _, e := range effects {
		if i, ok := index[spelt[e]]; ok {
			found[e] = i
		}
	}
	return found, nil
}

// halfSet is the first n words of the smallest even number of bits that has so
// many with exactly half of them set.
func halfSet(n int) (words []uint, length int) {
	for n > 0 {
		words = words[:0]
		for w := range uint(1) << length {
			if bits.OnesCount(w) == length/2 {
				words = append(words, w)
			}
			if len(words) == n {
				return words, length
			}
		}
		length += 2
	}
	return nil, 0
}
