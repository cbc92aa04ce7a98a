package guest

import (
	"fmt"
	"sync"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
)

// heard is the kernel's messages that belong into the report.
type heard struct {
	time *timeline
	on   func(report.KernelMessage)

	mu   sync.Mutex
	all  []moment[string]
	more int // that were too many
}

func (h *heard) add(text string, at time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == maxKept {
		h.more++
		return
	}
	h.all = append(h.all, moment[string]{at, text})
	h.on(h.judged(h.all[len(h.all)-1]))
}

// judged adds phase and write, as far as is known now: the answer to a write may
// be on its way.
func (h *heard) judged(m moment[string]) report.KernelMessage {
	phase, key := h.time.at(m.at)
	return report.KernelMessage{Text: m.of, Phase: phase, AfterWrite: key}
}

func (h *heard) report() []report.KernelMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []report.KernelMessage
	for _, m := range h.all {
		out = append(out, h.judged(m))
	}
	if h.more > 0 {
		last := out[len(out)-1]
		last.Text = fmt.Sprintf("and %d more messages", h.more)
		out = append(out, last)
	}
	return out
}
