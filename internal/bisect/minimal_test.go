package bisect_test

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/bisect"
)

// judge is a predicate that keeps book of what Minimal asks.
type judge struct {
	t     *testing.T
	fails func([]int) bool
	asked map[string]bool
}

func newJudge(t *testing.T, fails func([]int) bool) *judge {
	return &judge{t: t, fails: fails, asked: map[string]bool{}}
}

func (j *judge) call(set []int) (bool, error) {
	j.t.Helper()
	key := name(set)
	if _, twice := j.asked[key]; twice {
		j.t.Errorf("asked twice about %v", set)
	}
	if len(set) == 0 || !slices.IsSorted(set) {
		j.t.Errorf("asked about %v: empty or out of order", set)
	}
	j.asked[key] = j.fails(set)
	return j.asked[key], nil
}

// check runs Minimal and proves its answer: seen to fail, and 1-minimal.
func (j *judge) check(n int) (set []int, calls int) {
	j.t.Helper()
	set, calls, err := bisect.Minimal(upTo(n), 1<<30, j.call)
	if err != nil {
		j.t.Fatalf("Minimal: %v", err)
	}
	if calls != len(j.asked) {
		j.t.Errorf("says %d calls, made %d", calls, len(j.asked))
	}
	if len(set) < n && !j.asked[name(set)] {
		j.t.Errorf("%v was never seen to fail", set)
	}
	for i := range set {
		if less := slices.Delete(slices.Clone(set), i, i+1); len(less) > 0 && j.fails(less) {
			j.t.Errorf("%v is not minimal: %v fails too", set, less)
		}
	}
	return set, calls
}

// name makes a set a map's key.
func name(set []int) string {
	var b []byte
	for _, i := range set {
		b = binary.AppendUvarint(b, uint64(i))
	}
	return string(b)
}

func upTo(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func has(set, want []int) bool {
	for _, w := range want {
		if _, ok := slices.BinarySearch(set, w); !ok {
			return false
		}
	}
	return true
}

func draw(r *rand.Rand, n, k int) []int {
	s := r.Perm(n)[:k]
	slices.Sort(s)
	return s
}

func log2(n int) int { return bits.Len(uint(n - 1)) }

func monotoneBound(n, k int) int { return k*(log2(n)+2) - 1 }
func anyBound(n, m int) int      { return m*(log2(n)+1) + m*(m+1)/2 }

// TestOneCulprit tries every place in every size.
func TestOneCulprit(t *testing.T) {
	for n := 1; n <= 130; n++ {
		for culprit := range n {
			set, calls := newJudge(t, func(s []int) bool { return has(s, []int{culprit}) }).check(n)
			if !slices.Equal(set, []int{culprit}) || calls > log2(n)+1 {
				t.Fatalf("n=%d: %v after %d calls, want [%d] after at most %d", n, set, calls, culprit, log2(n)+1)
			}
		}
	}
}

func TestCausesThatNothingMasks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		n := 1 + r.IntN(700)
		var causes [][]int
		for range 1 + r.IntN(4) {
			causes = append(causes, draw(r, n, 1+r.IntN(min(3, n))))
		}
		set, calls := newJudge(t, func(s []int) bool {
			return slices.ContainsFunc(causes, func(c []int) bool { return has(s, c) })
		}).check(n)
		first := slices.MinFunc(causes, func(a, b []int) int { return a[len(a)-1] - b[len(b)-1] })
		if !slices.ContainsFunc(causes, func(c []int) bool { return slices.Equal(c, set) }) {
			t.Fatalf("n=%d causes %v: %v is none of them", n, causes, set)
		}
		if last := set[len(set)-1]; last != first[len(first)-1] {
			t.Fatalf("n=%d causes %v: %v is not the one complete first", n, causes, set)
		}
		if bound := monotoneBound(n, len(set)); calls > bound {
			t.Fatalf("n=%d: %d calls for %v, bound %d", n, calls, set, bound)
		}
	}
}

// TestMasks has causes that other items hide, unless a third item is there too.
func TestMasks(t *testing.T) {
	type cause struct{ need, hide, unhide []int }
	r := rand.New(rand.NewPCG(3, 4))
	for tried := 0; tried < 5000; {
		n := 2 + r.IntN(300)
		var causes []cause
		for range 1 + r.IntN(3) {
			causes = append(causes, cause{draw(r, n, 1+r.IntN(min(3, n))), draw(r, n, 1), draw(r, n, 1)})
		}
		fails := func(s []int) bool {
			return slices.ContainsFunc(causes, func(c cause) bool {
				return has(s, c.need) && (!has(s, c.hide) || has(s, c.unhide))
			})
		}
		if !fails(upTo(n)) {
			continue
		}
		tried++
		set, calls := newJudge(t, fails).check(n)
		if bound := anyBound(n, 5); calls > bound {
			t.Fatalf("n=%d causes %v: %d calls for %v, bound %d", n, causes, calls, set, bound)
		}
	}
}

// TestAnyPredicate draws whole truth tables: nothing about them is orderly.
func TestAnyPredicate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		n := 1 + r.IntN(9)
		table := make([]bool, 1<<n)
		for i := range table {
			table[i] = r.IntN(3) == 0
		}
		checkTable(t, n, table)
	}
}

func FuzzMinimal(f *testing.F) {
	f.Add(uint8(3), []byte{0x80})
	f.Add(uint8(6), []byte{1, 2, 3, 4, 5, 6, 7, 255})
	f.Fuzz(func(t *testing.T, size uint8, data []byte) {
		n := 1 + int(size%10)
		table := make([]bool, 1<<n)
		for i := range table {
			table[i] = len(data) > 0 && data[i/8%len(data)]>>(i%8)&1 == 1
		}
		checkTable(t, n, table)
	})
}

func checkTable(t *testing.T, n int, table []bool) {
	t.Helper()
	table[0], table[len(table)-1] = false, true
	_, calls := newJudge(t, func(s []int) bool {
		at := 0
		for _, i := range s {
			at |= 1 << i
		}
		return table[at]
	}).check(n)
	if bound := anyBound(n, n); calls > bound {
		t.Errorf("n=%d: %d calls, bound %d", n, calls, bound)
	}
}

func TestBudget(t *testing.T) {
	const n = 64
	cause := []int{7, 21, 50}
	fails := func(s []int) bool { return has(s, cause) }
	_, enough := newJudge(t, fails).check(n)
	last := n
	for budget := range enough {
		j := newJudge(t, fails)
		set, calls, err := bisect.Minimal(upTo(n), budget, j.call)
		if !errors.Is(err, bisect.ErrBudget) || calls != budget {
			t.Fatalf("budget %d: %d calls, error %v", budget, calls, err)
		}
		if !has(set, cause) || len(set) > last || len(set) < n && !j.asked[name(set)] {
			t.Fatalf("budget %d: %v is not the smallest set seen to fail", budget, set)
		}
		last = len(set)
	}
	if _, _, err := bisect.Minimal(upTo(n), enough, newJudge(t, fails).call); err != nil {
		t.Errorf("budget of exactly %d calls: %v", enough, err)
	}
}

func TestErrorPassesThrough(t *testing.T) {
	broken := errors.New("broken")
	for at := 1; at <= 7; at++ { // 7 calls settle one culprit among 64
		calls := 0
		set, said, err := bisect.Minimal(upTo(64), 100, func(s []int) (bool, error) {
			if calls++; calls == at {
				return true, broken
			}
			return has(s, []int{9}), nil
		})
		if !errors.Is(err, broken) || said != at || !has(set, []int{9}) {
			t.Fatalf("at call %d: %v, %d calls, error %v", at, set, said, err)
		}
	}
}

func TestSmallest(t *testing.T) {
	for n := range 2 {
		set, calls, err := bisect.Minimal(upTo(n), 0, func([]int) (bool, error) {
			t.Error("asked")
			return false, nil
		})
		if !slices.Equal(set, upTo(n)) || calls != 0 || err != nil {
			t.Errorf("%d items: %v, %d calls, error %v", n, set, calls, err)
		}
	}
}
