package guest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/netns-verify/netns-verify/internal/report"
)

// maxKept bounds how many messages are kept: one loop in the kernel can make
// thousands.
const maxKept = 500

// heard is the kernel's messages that belong into the report.
type heard struct {
	on func(report.KernelMessage)

	mu   sync.Mutex
	all  []report.KernelMessage
	more int // that were too many
}

func (h *heard) add(m report.KernelMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.Contains(h.all, m) {
		return // saying it again says nothing new
	}
	if len(h.all) == maxKept {
		h.more++
		return
	}
	h.all = append(h.all, m)
	h.on(m)
}

func (h *heard) report() []report.KernelMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.more == 0 {
		return h.all
	}
	last := h.all[len(h.all)-1]
	last.Text = fmt.Sprintf("and %d more messages", h.more)
	return append(h.all, last)
}
