package main

import "testing"

func TestQuantiles(t *testing.T) {
	for _, tc := range []struct {
		s           sample
		q1, mid, q3 float64
	}{
		{nil, 0, 0, 0},
		{sample{7}, 7, 7, 7},
		{sample{4, 1, 3, 2}, 1.75, 2.5, 3.25},
		{sample{5, 1, 4, 2, 3}, 2, 3, 4},
	} {
		if q1, mid, q3 := tc.s.quantile(0.25), tc.s.median(), tc.s.quantile(0.75); q1 != tc.q1 || mid != tc.mid || q3 != tc.q3 {
			t.Errorf("%v: quartiles %v %v %v, want %v %v %v", tc.s, q1, mid, q3, tc.q1, tc.mid, tc.q3)
		}
	}
}

func TestRatiosPairUp(t *testing.T) {
	if got := ratios(sample{2, 9, 5}, sample{1, 3}); len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Errorf("ratios: %v", got)
	}
}
