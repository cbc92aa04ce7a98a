package sysctl

import (
	"slices"
	"strings"
)

// maxSimilar is how many names Similar finds.
const maxSimilar = 3

// Similar finds the keys, or directories of keys, that a path may have been meant
// for: those that end like it, else the nearest by edit distance, if they are near.
func Similar(path string, keys []Key) []string {
	var names []string
	for _, k := range keys {
		for s := string(k); strings.Contains(s, "/"); s = s[:strings.LastIndexByte(s, '/')] {
			names = append(names, s)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var found []string
	for _, n := range names {
		if strings.HasSuffix(n, strings.TrimPrefix(path, "net")) {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		nearest := len(path)/4 + 1
		for _, n := range names {
			switch d := distance(path, n); {
			case d > nearest:
			case d < nearest:
				nearest, found = d, []string{n}
			default:
				found = append(found, n)
			}
		}
	}
	return found[:min(len(found), maxSimilar)]
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			swapped := corner
			if a[i] != b[j] {
				swapped++
			}
			corner = row[j+1]
			row[j+1] = min(swapped, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}
