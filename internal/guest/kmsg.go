package guest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/report"
)

const (
	kmsgDevice = "/dev/kmsg"
	// kmsgRecord is more than any record has (PRINTK_MESSAGE_MAX, 8192 in
	// kernel/printk/internal.h); shorter reads fail with EINVAL.
	kmsgRecord = 16 << 10
	// kmsgEnd is the longest wait for our own last line to come back.
	kmsgEnd = 5 * time.Second
	// devkmsg lifts the limit of ten lines in five seconds for writers (proc_sys_kernel(5)).
	devkmsg = "/proc/sys/kernel/printk_devkmsg"
)

// Our own lines in the kernel's log, beside child.Mark: they say what had come
// before what is below them.
const (
	markPhase  = "netns-verify: phase %q"
	markModule = "netns-verify: module %q"
	markEnd    = "netns-verify: the end"
)

// record is one record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg).
type record struct {
	facility, level int
	text            string
}

// parseRecord reads "priority,sequence,microseconds,flags[,...];text", which
// continuation lines with further properties may follow.
func parseRecord(b string) (record, error) {
	head, text, ok := strings.Cut(b, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 4 {
		return record{}, fmt.Errorf("kernel message %.60q has no head", b)
	}
	priority, err := strconv.ParseUint(fields[0], 10, 31)
	if err != nil {
		return record{}, fmt.Errorf("kernel message %.60q: priority: %w", b, err)
	}
	text, _, _ = strings.Cut(text, "\n")
	return record{facility: int(priority >> 3), level: int(priority & 7), text: unescape(text)}, nil
}

// noteworthy tells what belongs into a report: what the kernel itself finds worth
// a warning, and whatever it says about sysctls. BUGs, oopses and the like are at
// least warnings.
func (r record) noteworthy() bool {
	const warning = 4 // syslog(2)
	return !r.ours() && (r.level <= warning || strings.Contains(r.text, "sysctl"))
}

// ours tells that a process wrote it, and not the kernel.
func (r record) ours() bool { return r.facility != 0 }

// mark tells whether it is one of our lines of a format, and what is in it.
func (r record) mark(format string) (what string, ok bool) {
	head, _, _ := strings.Cut(format, "%q")
	quoted, ok := strings.CutPrefix(r.text, head)
	if !ok || !r.ours() {
		return "", false
	}
	what, err := strconv.Unquote(quoted)
	return what, err == nil
}

// unescape undoes what the kernel does to a backslash and to what is not printable
// ASCII: each such byte comes as \xNN.
func unescape(s string) string {
	parts := strings.Split(s, `\x`)
	for i, p := range parts[1:] {
		n, err := strconv.ParseUint(p[:min(2, len(p))], 16, 8)
		if err != nil || len(p) < 2 {
			parts[i+1] = `\x` + p // the kernel makes no such thing
			continue
		}
		parts[i+1] = string([]byte{byte(n)}) + p[2:]
	}
	return strings.Join(parts, "")
}

// oneLine is a text that can be shown anywhere.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

// kmsg follows the kernel's log from now on. Where in it something stands, below
// which of our marks, says what it came after.
type kmsg struct {
	f     *os.File
	on    kmsgEvents
	ended chan struct{} // our own last line has come back
	phase string
	key   string // of the newest write
}

// kmsgEvents is who hears of what, all from one goroutine.
type kmsgEvents struct {
	message func(report.KernelMessage)
	module  func(name, afterWrite string)
}

// followKmsg begins to follow, in another goroutine.
func followKmsg(phase string, on kmsgEvents) (*kmsg, error) {
	f, err := os.OpenFile(kmsgDevice, os.O_RDWR, 0)
	if err == nil {
		if _, err = f.Seek(0, 2); err == nil { // what was said before is the boot's
			err = os.WriteFile(devkmsg, []byte("on\n"), 0)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("follow the kernel's messages: %w", err)
	}
	k := &kmsg{f: f, on: on, ended: make(chan struct{}), phase: phase}
	go k.follow()
	return k, nil
}

// mark puts a line of ours into the log.
func (k *kmsg) mark(format, what string) error {
	_, err := fmt.Fprintf(k.f, "<7>"+format+"\n", what)
	return err
}

func (k *kmsg) follow() {
	defer close(k.ended)
	b := make([]byte, kmsgRecord)
	for {
		n, err := k.f.Read(b)
		if errors.Is(err, unix.EPIPE) {
			continue // some were overwritten before we came to them
		}
		if err != nil {
			return
		}
		r, err := parseRecord(string(b[:n]))
		if err != nil {
			continue // no mark of ours, and nothing that could be reported
		}
		if r.ours() && r.text == markEnd {
			return
		}
		k.take(r)
	}
}

func (k *kmsg) take(r record) {
	if phase, ok := r.mark(markPhase); ok {
		k.phase = phase
	} else if key, ok := r.mark(child.Mark); ok {
		k.key = key
	} else if name, ok := r.mark(markModule); ok {
		k.on.module(name, k.key)
	} else if r.noteworthy() {
		k.on.message(report.KernelMessage{Text: oneLine(r.text), Phase: k.phase, AfterWrite: k.key, Key: string(known.MessageKey(r.text))})
	}
}

// stop returns when everything that was said until now has been heard.
func (k *kmsg) stop() error {
	defer func() { _ = k.f.Close() }()
	if _, err := k.f.WriteString("<7>" + markEnd + "\n"); err != nil {
		return fmt.Errorf("end following the kernel's messages: %w", err)
	}
	select {
	case <-k.ended:
		return nil
	case <-time.After(kmsgEnd):
		return errors.New("the kernel's messages did not come to an end")
	}
}
