package simkernel

import "time"

// What things cost in the kernel's time.
const (
	costStart = time.Millisecond
	costList  = time.Millisecond
	costWrite = 100 * time.Microsecond
	costDrain = 70 * time.Millisecond
	// costDevice is for all that a namespace is given.
	costDevice = 20 * time.Millisecond
)

// clock is the kernel's time. Delays are looked at lazily, at every access.
type clock interface {
	now() time.Time
	sleep(time.Duration)
}

// realClock is virtual inside a synctest bubble.
type realClock struct{}

func (realClock) now() time.Time        { return time.Now() }
func (realClock) sleep(d time.Duration) { time.Sleep(d) }

// manualClock moves only when slept on: replays of the truth run outside bubbles.
type manualClock struct{ t time.Time }

func (c *manualClock) now() time.Time        { return c.t }
func (c *manualClock) sleep(d time.Duration) { c.t = c.t.Add(d) }
