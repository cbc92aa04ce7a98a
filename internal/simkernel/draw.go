package simkernel

import (
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// The modes that keys have.
const (
	modeNone   fs.FileMode = 0
	modeRead   fs.FileMode = 0o444
	modeBoth   fs.FileMode = 0o644
	modeSecret fs.FileMode = 0o600
	modeWrite  fs.FileMode = 0o200
)

// keyDrawer draws keys, each with a name that no other has.
type keyDrawer struct {
	rng   *rand.Rand
	taken map[sysctl.Key]bool
}

// chance is true with this many in a hundred.
func (d *keyDrawer) chance(percent int) bool { return d.rng.IntN(100) < percent }

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// name draws a key's name. The order of names has nothing to do with roles.
func (d *keyDrawer) name() sysctl.Key {
	for {
		dir := pick(d.rng, "core", "ipv4", "ipv4/conf/all", "ipv4/conf/default", "ipv4/conf/eth0.100",
			"ipv6/conf/lo", "ipv6", "netfilter", "unix")
		name := sysctl.Key(fmt.Sprintf("net/%s/k%03x", dir, d.rng.IntN(1<<12)))
		if d.chance(4) && len(dir) > 9 { // a few of those that are written alone
			name = sysctl.Key("net/" + dir + "/forwarding")
		}
		if !d.taken[name] {
			d.taken[name] = true
			return name
		}
	}
}

var refusals = []syscall.Errno{syscall.EINVAL, syscall.EPERM, syscall.EBUSY, syscall.EOPNOTSUPP, syscall.EIO}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// model is a key with a value that is the same for the host and its children.
func (d *keyDrawer) model(f format, value string) keyModel {
	s := side{mode: modeBoth, value: value}
	return keyModel{name: d.name(), format: f, host: s, child: s}
}

// anyKey draws a key of any shape.
func (d *keyDrawer) anyKey() keyModel {
	switch n := d.rng.IntN(100); {
	case n < 55:
		return d.apart(d.integer())
	case n < 78:
		return d.apart(d.boolean())
	case n < 92:
		return d.vector()
	}
	return d.text()
}

// apart lets a child's default differ from the host's value now and then.
func (d *keyDrawer) apart(m keyModel) keyModel {
	if d.chance(20) {
		if m.format.isBool() {
			m.host.value = pick(d.rng, "0", "1")
		} else if n, errno := m.format.number(decimal(integer(m.host.value) + 1 + d.rng.Int64N(50))); errno == 0 {
			m.host.value = decimal(n)
		}
	}
	return m
}

func (d *keyDrawer) boolean() keyModel {
	return d.model(format{max: 1}, pick(d.rng, "0", "1"))
}

var defaults = []int64{0, 1, 2, 3, 5, 10, 16, 60, 128, 1000, 4096, 30000, 212992}

// integer draws a key with at least three values on each side of its default, but for 0.
func (d *keyDrawer) integer() keyModel {
	value := pick(d.rng, defaults...)
	f := format{max: math.MaxInt32}
	switch d.rng.IntN(10) {
	case 0, 1:
		f.max = 10*value + 10
	case 2:
		f.min = -1
	case 3:
		f.min, f.max = math.MinInt64, math.MaxInt64
	case 4:
		f.step = pick[int64](d.rng, 4, 10)
		value = value / f.step * f.step
	case 5:
		f.clamp = true
	}
	return d.model(f, decimal(value))
}

func (d *keyDrawer) vector() keyModel {
	n := 2 + d.rng.IntN(3)
	fields := make([]string, n)
	v := 1 + d.rng.Int64N(5000)
	for i := range fields {
		fields[i] = decimal(v)
		v += 1 + d.rng.Int64N(60000)
	}
	f := format{shape: shapeVector, max: math.MaxInt32, ascending: d.chance(50), partial: d.chance(50)}
	return d.model(f, strings.Join(fields, "\t"))
}

func (d *keyDrawer) text() keyModel {
	value := pick(d.rng, "", "alpha", "none", "core_pattern", "a b", "00:11:22:33:44:55", "1,3-9")
	return d.model(format{shape: shapeText, maxLen: 32}, value)
}

// numeric draws an integer or a boolean that looks alike on both sides.
func (d *keyDrawer) numeric() keyModel {
	if d.chance(30) {
		return d.boolean()
	}
	return d.integer()
}

// cause draws a key that can be written with effect.
func (d *keyDrawer) cause() keyModel {
	m := d.numeric()
	switch {
	case d.chance(10):
		m = d.vector()
	case d.chance(10):
		m.inherit = true
	case d.chance(10) && m.format.isBool():
		m.host.value = flip(m.child.value) // a switch on which the two sides disagree
	case d.chance(10):
		m = d.apart(m)
	}
	return m
}

// restlessKey draws a key that changes without any write.
func (d *keyDrawer) restlessKey() keyModel {
	m := d.integer()
	r := &restless{count: d.chance(50), blink: d.chance(8)}
	switch d.rng.IntN(3) {
	case 0:
		r.onHost = true
	case 1:
		r.inChildren = true
	default:
		r.onHost, r.inChildren = true, true
	}
	switch d.rng.IntN(4) {
	case 0: // with every read
	case 1:
		r.every = time.Duration(1+d.rng.IntN(20)) * time.Millisecond
	case 2:
		r.every = time.Duration(50+d.rng.IntN(450)) * time.Millisecond
	default:
		r.every = time.Duration(1+d.rng.IntN(30)) * time.Second
	}
	if r.blink && r.every == 0 {
		r.every = 10 * time.Millisecond // reading does not make a key go
	}
	m.restless = r
	switch d.rng.IntN(4) {
	case 0:
		m.host.mode, m.child.mode = modeRead, modeRead
	case 1:
		m.child.mode = modeRead
	case 2:
		m.inherit = true
		m.child.value = m.host.value
	}
	return m
}

// delay is mostly over by the time a batch has been looked at; sometimes it is nearly as
// long as a run waits for.
func (d *keyDrawer) delay() time.Duration {
	if d.chance(20) {
		return time.Duration(1000+d.rng.IntN(249000)) * time.Microsecond
	}
	return d.shortDelay()
}

func (d *keyDrawer) shortDelay() time.Duration {
	return time.Duration(1000+d.rng.IntN(49000)) * time.Microsecond
}

// even makes a key look alike on both sides: rules that follow a value and
// undo themselves need one original.
func even(m keyModel) keyModel {
	m.host.value = m.child.value
	return m
}
