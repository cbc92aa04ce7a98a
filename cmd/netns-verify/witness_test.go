package main

import (
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

// However much a guest says, what is kept of it has bounds.
func TestRememberBounds(t *testing.T) {
	w := &witness{}
	for range maxWitnessed + 1 {
		remember(w, &w.modules, report.Module{Name: "x"})
	}
	if len(w.modules) != maxWitnessed {
		t.Errorf("%d modules", len(w.modules))
	}
	long := report.KernelMessage{Text: strings.Repeat("x", 1<<20)}
	for range 2 * maxWitnessedBytes >> 20 {
		remember(w, &w.said, long)
	}
	if n := len(w.said); n == 0 || n<<20 > maxWitnessedBytes {
		t.Errorf("%d MiB of kernel messages", n)
	}
	if before := len(w.said); before > 0 {
		remember(w, &w.said, report.KernelMessage{Text: "short"})
		if len(w.said) != before+1 {
			t.Error("there is room, and it is not used")
		}
	}
}
