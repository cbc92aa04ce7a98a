package simkernel

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"syscall"

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

var refusals = []syscall.Errno{syscall.EINVAL, syscall.EPERM, syscall.EBUSY, syscall.EOPNOTSUPP, syscall.EIO}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// model is a key with a value that is the same for the host and its children.
func (g *generator) model(f format, value string) keyModel {
	s := side{mode: modeBoth, value: value}
	return keyModel{name: g.name(), format: f, host: s, child: s}
}

// anyKey draws a key of any shape.
func (g *generator) anyKey() keyModel {
	switch n := g.rng.IntN(100); {
	case n < 55:
		return g.apart(g.integer())
	case n < 78:
		return g.apart(g.boolean())
	case n < 92:
		return g.vector()
	}
	return g.text()
}

// apart lets a child's default differ from the host's value now and then.
func (g *generator) apart(m keyModel) keyModel {
	if g.chance(20) {
		if m.format.isBool() {
			m.host.value = pick(g, "0", "1")
		} else if n, errno := m.format.number(decimal(integer(m.host.value) + 1 + g.rng.Int64N(50))); errno == 0 {
			m.host.value = decimal(n)
		}
	}
	return m
}

func (g *generator) boolean() keyModel {
	return g.model(format{max: 1}, pick(g, "0", "1"))
}

var defaults = []int64{0, 1, 2, 3, 5, 10, 16, 60, 128, 1000, 4096, 30000, 212992}

// integer draws a key with at least three values on each side of its default, but for 0.
func (g *generator) integer() keyModel {
	d := pick(g, defaults...)
	f := format{max: math.MaxInt32}
	switch g.rng.IntN(10) {
	case 0, 1:
		f.max = 10*d + 10
	case 2:
		f.min = -1
	case 3:
		f.min, f.max = math.MinInt64, math.MaxInt64
	case 4:
		f.step = pick[int64](g, 4, 10)
		d = d / f.step * f.step
	case 5:
		f.clamp = true
	}
	return g.model(f, decimal(d))
}

func (g *generator) vector() keyModel {
	n := 2 + g.rng.IntN(3)
	fields := make([]string, n)
	v := 1 + g.rng.Int64N(5000)
	for i := range fields {
		fields[i] = decimal(v)
		v += 1 + g.rng.Int64N(60000)
	}
	f := format{shape: shapeVector, max: math.MaxInt32, ascending: g.chance(50), partial: g.chance(50)}
	return g.model(f, strings.Join(fields, "\t"))
}

func (g *generator) text() keyModel {
	value := pick(g, "", "alpha", "none", "core_pattern", "a b", "00:11:22:33:44:55", "1,3-9")
	return g.model(format{shape: shapeText, maxLen: 32}, value)
}

// words adds a key that takes one word out of a list that a key beside it publishes.
func (g *generator) words() int {
	vocabulary := []string{"reno", "cubic", "bbr", "vegas"}[:2+g.rng.IntN(3)]
	dir := path.Dir(string(g.name()))
	suffix := fmt.Sprintf("%03x", g.rng.IntN(1<<12))
	list := g.model(format{shape: shapeText}, strings.Join(vocabulary, " "))
	list.host.mode, list.child.mode = modeRead, modeRead
	m := g.model(format{shape: shapeWord, words: vocabulary}, pick(g, vocabulary...))
	list.name = sysctl.Key(dir + "/words" + suffix + "/available_policies")
	m.name = sysctl.Key(dir + "/words" + suffix + "/policy")
	if g.taken[m.name] {
		return g.add(g.boolean())
	}
	g.taken[m.name] = true
	g.add(list)
	return g.add(m)
}

// other draws a value that a key has neither on the host nor in a child.
func (g *generator) other(key int) string {
	m := &g.keys[key]
	used := func(v string) bool { return v == m.host.value || v == m.child.value }
	switch {
	case m.format.isBool():
		for _, v := range []string{"0", "1"} {
			if !used(v) {
				return v
			}
		}
		return "2" // both are taken: what no write could give
	case m.format.shape == shapeInt:
		for {
			if v := decimal(integer(m.host.value) + pick[int64](g, 1, 2, 7, 100) + g.rng.Int64N(1000)); !used(v) {
				return v
			}
		}
	case m.format.shape == shapeVector:
		fields := strings.Fields(m.host.value)
		fields[len(fields)-1] = decimal(integer(fields[len(fields)-1]) + 1 + g.rng.Int64N(100))
		if v := strings.Join(fields, "\t"); !used(v) {
			return v
		}
	}
	return m.host.value + "x"
}

// even makes a key look alike on both sides: rules that follow a value and
// undo themselves need one original.
func even(m keyModel) keyModel {
	m.host.value = m.child.value
	return m
}
