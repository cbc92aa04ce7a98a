package main

import (
	"slices"
	"time"
)

// sample is repeated measurements of one thing.
type sample []float64

func (s *sample) add(d time.Duration) { *s = append(*s, d.Seconds()) }

// quantile is the value below which a part q of the sample lies, interpolated;
// 0 without a sample.
func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func (s sample) median() float64 { return s.quantile(0.5) }

// ratios divides measurements that were made side by side, pair by pair.
func ratios(a, b sample) sample {
	var r sample
	for i := range min(len(a), len(b)) {
		r = append(r, a[i]/b[i])
	}
	return r
}
