package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/netns-verify/netns-verify/internal/storm/order"
)

// tally is how all rounds went.
type tally struct {
	mu     sync.Mutex
	rounds map[order.Kind][]order.Round
	hits   int
	wrong  int
}

func (t *tally) add(r order.Round) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Missed && len(r.Wrong) == 0 {
		return
	}
	about := r.Keys
	if r.WriteHost {
		about += " --write-host"
	}
	what := fmt.Sprintf("%s of a run of %s in phase %s, %d ms after the start, seed %d", r.Kind, about, r.Phase, r.AfterMS, r.Seed)
	switch {
	case len(r.Wrong) > 0:
		t.wrong++
		fmt.Printf("WRONG %s: %s\n%s\n", what, strings.Join(r.Wrong, "; "), r.Log)
	case r.Kind != order.Nothing && r.Late():
		fmt.Printf("LATE %s: %d ms\n%s\n", what, r.TailMS, r.Log)
	}
	if r.Missed {
		return
	}
	t.rounds[r.Kind] = append(t.rounds[r.Kind], r)
	if t.hits++; t.hits%tellEvery == 0 {
		fmt.Fprintf(os.Stderr, "%d hits, %d times something was wrong\n", t.hits, t.wrong)
	}
}

// tellEvery is how many hits there are between two lines of progress.
const tellEvery = 50

// print prints a line for each kind.
func (t *tally) print() {
	for _, kind := range append([]order.Kind{order.Nothing}, order.Kinds()...) {
		rounds := t.rounds[kind]
		if len(rounds) == 0 {
			continue
		}
		good, phases := 0, map[string]int{}
		var took, tail []int64
		late := 0
		for _, r := range rounds {
			if len(r.Wrong) == 0 {
				good++
			}
			phases[r.Phase]++
			took = append(took, r.TookMS)
			tail = append(tail, r.TailMS)
			if r.Late() {
				late++
			}
		}
		slices.Sort(took)
		slices.Sort(tail)
		fmt.Printf("%-9s %4d of %4d as before; until all was over: median %d ms, most %d ms; phases %v\n",
			kind, good, len(rounds), took[len(took)/2], took[len(took)-1], phases)
		if kind != order.Nothing {
			fmt.Printf("          after the last child: median %d ms, most %d ms; %d of %d within %v\n",
				tail[len(tail)/2], tail[len(tail)-1], len(tail)-late, len(tail), order.Soon)
		}
	}
}
