package simkernel

import (
	"io/fs"
	"syscall"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// keyModel is what a kernel knows about one key.
type keyModel struct {
	name   sysctl.Key
	format format
	// device is the one that the key belongs to, if children have that on request only.
	device string

	// host and child say how the key looks in the two kinds of namespaces.
	host, child side
	// inherit copies the host's value of the moment into a new namespace.
	inherit bool
	// global is one variable for everybody: the host's.
	global bool
	// plant is the leak that a writable global key makes, by its number from 1.
	plant int
	// latch makes the first change of a global variable final.
	latch bool
	// refuse is the answer to every write in a child.
	refuse syscall.Errno
	// ignore accepts every write in a child and does nothing.
	ignore bool
	// hidden may not be read on the host.
	hidden bool
	// restless changes by itself; nil for the others.
	restless *restless
}

// side is a key's look on one side.
type side struct {
	mode fs.FileMode
	// absent tells that it is not there at first; mode 0 that it never is.
	absent bool
	value  string
}

func (s side) present() bool { return s.mode != 0 && !s.absent }

// cell is a key's storage in one namespace.
type cell struct {
	value string
	// present is the namespace's own, even where the value is everybody's.
	present bool
	// latched refuses every further write with EBUSY.
	latched bool
	// from is the leak that put the value there.
	from origin
}

// origin is where a value came from: a plant by its number from 1, 0 for none.
type origin struct {
	plant int
	// planned tells that the write was asked for by the plan, not by a replay.
	planned bool
}

// base is what a key looks like to somebody who is not leaked to.
type base struct {
	value   string
	present bool
}

func (c *cell) base() base { return base{c.value, c.present} }
