package vm

import (
	"bytes"
	"io"
	"strings"

	"github.com/netns-verify/netns-verify/internal/guestlink"
)

const (
	tailLines = 50
	maxStderr = 4 // lines of QEMU's own that are shown
	maxLine   = 1 << 10
)

// console keeps the last lines of what was written to it, and passes everything
// on to keep, if there is one.
type console struct {
	keep io.Writer
	part []byte
	last []string
	err  error // of keep
}

func (c *console) Write(b []byte) (int, error) {
	if c.keep != nil && c.err == nil {
		_, c.err = c.keep.Write(b)
	}
	c.part = append(c.part, b...)
	for {
		line, rest, ok := bytes.Cut(c.part, []byte("\n"))
		switch {
		case ok:
			c.part = rest
		case len(c.part) > maxLine:
			line, c.part = c.part, nil
		default:
			return len(b), nil
		}
		c.line(line)
	}
}

func (c *console) line(line []byte) {
	text := guestlink.Printable(string(line[:min(len(line), maxLine)]))
	if text == "" {
		return
	}
	if c.last = append(c.last, text); len(c.last) > tailLines {
		c.last = c.last[1:]
	}
}

// tail is the last lines; nothing is written any more.
func (c *console) tail() []string {
	c.line(c.part)
	c.part = nil
	return c.last
}

// panicked is what the kernel called its panic, or "".
func panicked(lines []string) string {
	for _, line := range lines {
		if _, why, ok := strings.Cut(line, "Kernel panic - not syncing: "); ok {
			return why
		}
	}
	return ""
}
