package kmod

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// Adder adds modules to a set, several at a time: unpacking is nearly all of the
// work. What comes of it is the same as if they were added one by one.
type Adder struct {
	set  *Set
	jobs []*adding
	// busy has room for the modules that are worked on at a time.
	busy chan struct{}
	wg   sync.WaitGroup
	// failed tells that there is an error: those that were begun before it may have
	// another one, what comes after it is not looked at any more.
	failed atomic.Bool
}

type adding struct {
	module *Module
	err    error
}

// Adder begins to add modules. Wait must be called at the end, whatever happens.
func (s *Set) Adder() *Adder {
	return &Adder{set: s, busy: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Add adds a module, compressed or not; it is kept in memory. Of two files with the
// same module the one below updates/ counts, as for depmod, else the first.
func (a *Adder) Add(file string, data []byte) {
	a.add(file, func() ([]byte, error) { return data, nil }, true)
}

// add adds a module that is kept, or else read again when it is wanted.
func (a *Adder) add(file string, read func() ([]byte, error), keep bool) {
	if a.failed.Load() {
		return
	}
	job := &adding{}
	a.jobs = append(a.jobs, job)
	a.busy <- struct{}{}
	a.wg.Go(func() {
		defer func() { <-a.busy }()
		data, err := read()
		if err == nil {
			job.module, err = Parse(file, data)
		}
		switch {
		case err != nil:
			job.err = err
			a.failed.Store(true)
		case keep:
			job.module.keep(data, &a.set.room)
		default:
			job.module.content = read
		}
	})
}

// Failed tells that Wait will have an error.
func (a *Adder) Failed() bool { return a.failed.Load() }

// Wait ends when all modules are added. The error is that of the first one, in the
// order of adding, that is no module, or one of another kernel.
func (a *Adder) Wait() error {
	a.wg.Wait()
	for _, job := range a.jobs {
		if job.err != nil {
			return job.err
		}
		if err := a.set.add(job.module); err != nil {
			return err
		}
	}
	a.jobs = nil
	return nil
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // the options above are sound
	}
	return e
})

func compress(data []byte) []byte { return slices.Clone(encoder().EncodeAll(data, nil)) }
