package guest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// kmsgRecord is more than any record has (PRINTK_MESSAGE_MAX, 8192 in
	// kernel/printk/internal.h); shorter reads fail with EINVAL.
	kmsgRecord = 16 << 10
	// kmsgEnd is the longest wait for our own last line to come back.
	kmsgEnd = 5 * time.Second
	// maxKept bounds how many messages are kept: one loop in the kernel can make
	// thousands.
	maxKept = 500
)

// record is one record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg).
type record struct {
	facility, level int
	at              time.Duration // the kernel's log clock
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
	us, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return record{}, fmt.Errorf("kernel message %.60q: time: %w", b, err)
	}
	text, _, _ = strings.Cut(text, "\n")
	return record{
		facility: int(priority >> 3), level: int(priority & 7),
		at: time.Duration(us) * time.Microsecond, text: text,
	}, nil
}

// noteworthy tells what belongs into a report: what the kernel itself finds worth
// a warning, and whatever it says about sysctls. BUGs, oopses and the like are at
// least warnings.
func (r record) noteworthy() bool {
	const kernel, warning = 0, 4 // syslog(2)
	return r.facility == kernel && (r.level <= warning || strings.Contains(r.text, "sysctl"))
}

// kmsg follows the kernel's messages from now on.
type kmsg struct {
	f     *os.File
	end   string        // our own last line
	ended chan struct{} // it has come back
	// offset is what to add to the log's clock to get CLOCK_MONOTONIC. The two run
	// alike, but need not have started at the same time.
	offset time.Duration
}

// followKmsg passes every noteworthy record on, from another goroutine, with the
// time that it was made at (CLOCK_MONOTONIC).
func followKmsg(on func(text string, at time.Duration)) (*kmsg, error) {
	f, err := os.OpenFile("/dev/kmsg", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("follow the kernel's messages: %w", err)
	}
	k := &kmsg{f: f, end: "netns-verify: the run is over", ended: make(chan struct{})}
	if err := k.begin(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("follow the kernel's messages: %w", err)
	}
	go k.follow(on)
	return k, nil
}

// begin skips what was said before, and compares the clocks with a line of ours.
func (k *kmsg) begin() error {
	if _, err := k.f.Seek(0, 2); err != nil {
		return err
	}
	const begin = "netns-verify: the run begins"
	before := monotonic()
	if err := k.say(begin); err != nil {
		return err
	}
	for {
		r, err := k.next()
		if err != nil {
			return err
		}
		if r.text == begin {
			k.offset = before - r.at
			return nil
		}
	}
}

func (k *kmsg) say(line string) error {
	_, err := k.f.Write([]byte("<6>" + line + "\n"))
	return err
}

// next reads one record; those that were lost because they came too fast are
// skipped.
func (k *kmsg) next() (record, error) {
	b := make([]byte, kmsgRecord)
	for {
		n, err := k.f.Read(b)
		switch {
		case errors.Is(err, unix.EPIPE):
		case err != nil:
			return record{}, err
		default:
			return parseRecord(string(b[:n]))
		}
	}
}

func (k *kmsg) follow(on func(string, time.Duration)) {
	defer close(k.ended)
	for {
		r, err := k.next()
		if err != nil || r.text == k.end {
			return
		}
		if r.noteworthy() {
			on(r.text, r.at+k.offset)
		}
	}
}

// stop returns when everything that was said until now has been passed on.
func (k *kmsg) stop() error {
	defer func() { _ = k.f.Close() }()
	if err := k.say(k.end); err != nil {
		return fmt.Errorf("end following the kernel's messages: %w", err)
	}
	select {
	case <-k.ended:
		return nil
	case <-time.After(kmsgEnd):
		return errors.New("the kernel's messages did not come to an end")
	}
}

// monotonic is the kernel's time since boot.
func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // there is no kernel without it
	return time.Duration(t.Nano())
}
