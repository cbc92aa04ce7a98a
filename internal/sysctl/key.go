package sysctl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/netns-verify/netns-verify/internal/escape"
)

// Key is a sysctl's identity: its path below /proc/sys, with slashes, such as
// "net/ipv4/conf/eth0.100/rp_filter".
type Key string

// maxKey bounds a key's length in bytes (PATH_MAX, linux/limits.h).
const maxKey = 4096

var errKey = errors.New("not a sysctl key")

// ParseKey reads a key in either form of sysctl(8): with slashes, or with dots
// where the two characters are swapped ("net.ipv4.conf.eth0/100.rp_filter").
// As there, the first separator tells which form it is. A leading "/proc/sys/"
// is accepted. What could lead out of the tree ("..", empty elements, NUL) is refused.
func ParseKey(s string) (Key, error) {
	p := strings.TrimPrefix(s, "/proc/sys/")
	if i := strings.IndexAny(p, "./"); i >= 0 && p[i] == '.' {
		p = swap(p)
	}
	if err := checkPath(p); err != nil {
		return "", fmt.Errorf("parse key %.80q: %w: %w", s, errKey, err)
	}
	return Key(p), nil
}

func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New("it is empty")
	case len(p) > maxKey:
		return fmt.Errorf("it is longer than %d bytes", maxKey)
	case strings.ContainsRune(p, 0):
		return errors.New("it contains a NUL byte")
	}
	for e := range strings.SplitSeq(p, "/") {
		switch e {
		case "":
			return errors.New("it has an empty element")
		case ".", "..":
			return fmt.Errorf("it has the element %q", e)
		}
	}
	return nil
}

// Check tells whether the key could have come from ParseKey.
func (k Key) Check() error {
	if err := checkPath(string(k)); err != nil {
		return fmt.Errorf("key %.80q: %w: %w", string(k), errKey, err)
	}
	return nil
}

// Dotted is sysctl(8)'s form: dots between elements, a dot inside one
// written as a slash (sysctl(8)). ParseKey reads it back, except for a key
// whose first element has a dot in it: /proc/sys has none.
func (k Key) Dotted() string { return swap(string(k)) }

// Shown is the dotted form for people: quoted where it is not plain.
func (k Key) Shown() string { return escape.Name(k.Dotted()) }

// Text is the key where only UTF-8 can be: a log.
func (k Key) Text() string { return escape.UTF8(string(k)) }

// Path is where the key is found in the initial mount of proc.
func (k Key) Path() string { return "/proc/sys/" + string(k) }

func swap(s string) string {
	b := []byte(s) // bytes: the name of a device need not be UTF-8
	for i, c := range b {
		switch c {
		case '.':
			b[i] = '/'
		case '/':
			b[i] = '.'
		}
	}
	return string(b)
}
