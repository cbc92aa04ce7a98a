package simkernel

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// shape is what kind of values a key has.
type shape int

const (
	shapeInt shape = iota
	shapeVector
	shapeWord
	shapeText
)

// format says which values a key takes and how it stores them.
type format struct {
	shape    shape
	min, max int64
	// step rounds integers down to a multiple; multiple refuses others instead.
	step     int64
	multiple bool
	// clamp takes what is out of range as the nearest bound.
	clamp bool
	words []string
	// ascending refuses vectors that do not ascend.
	ascending bool
	// partial stores a vector's first elements even where a later one is refused.
	partial bool
	maxLen  int
}

func (f *format) isBool() bool { return f.shape == shapeInt && f.min == 0 && f.max == 1 }

// parse is the handler: what is stored after writing in over old. The value may
// differ from old although the write is rejected.
func (f *format) parse(old, in string) (string, syscall.Errno) {
	in = strings.TrimSpace(in)
	if in == "" && f.shape != shapeText {
		return old, 0 // an empty write succeeds nearly everywhere and does nothing
	}
	switch f.shape {
	case shapeInt:
		n, errno := f.number(in)
		if errno != 0 {
			return old, errno
		}
		return strconv.FormatInt(n, 10), 0
	case shapeVector:
		return f.vector(old, in)
	case shapeWord:
		if !slices.Contains(f.words, in) {
			return old, syscall.ENOENT
		}
	case shapeText:
		if len(in) > f.maxLen {
			return old, syscall.EINVAL
		}
	}
	return in, 0
}

func (f *format) number(in string) (int64, syscall.Errno) {
	n, err := strconv.ParseInt(in, 0, 64)
	if err != nil {
		return 0, syscall.EINVAL
	}
	if f.step > 1 {
		if f.multiple && n%f.step != 0 {
			return 0, syscall.EINVAL
		}
		n -= n % f.step
	}
	if n < f.min || n > f.max {
		if !f.clamp {
			return 0, syscall.EINVAL
		}
		n = min(max(n, f.min), f.max)
	}
	return n, 0
}

// vector sets the first elements; the others stay.
func (f *format) vector(old, in string) (string, syscall.Errno) {
	now := strings.Fields(old)
	fields := strings.Fields(in)
	if len(fields) > len(now) {
		return old, syscall.EINVAL
	}
	for i, s := range fields {
		n, errno := f.number(s)
		if errno != 0 {
			if f.partial {
				return strings.Join(now, "\t"), errno
			}
			return old, errno
		}
		now[i] = strconv.FormatInt(n, 10)
	}
	if f.ascending && !ascends(now) {
		return old, syscall.EINVAL
	}
	return strings.Join(now, "\t"), 0
}

func ascends(fields []string) bool {
	for i := 1; i < len(fields); i++ {
		if integer(fields[i]) < integer(fields[i-1]) {
			return false
		}
	}
	return true
}

// integer reads what the kernel printed; 0 for what is no number.
func integer(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
