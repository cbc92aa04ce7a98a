package main

import (
	"io"
	"sync"
	"time"
)

// patient passes lines on to a writer that may stop taking them, such as a pipe whose
// reader hangs: the host must not wait for that. What does not fit is dropped.
type patient struct {
	lines chan []byte
	done  chan struct{}

	mu     sync.Mutex
	closed bool
	missed int
}

// patientLines is how many lines wait, and patience for how long the end waits for them.
const (
	patientLines = 1 << 14
	patience     = time.Second
)

func newPatient(w io.Writer) *patient {
	p := &patient{lines: make(chan []byte, patientLines), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for line := range p.lines {
			_, _ = w.Write(line) // a reader that is gone is no reason to end
		}
	}()
	return p
}

// Write never fails and never waits.
func (p *patient) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return len(b), nil
	}
	select {
	case p.lines <- append([]byte(nil), b...):
	default:
		p.missed++
	}
	return len(b), nil
}

// close waits for what is on its way, but not for ever. It returns how many lines were
// dropped, and whether the writer takes any now.
func (p *patient) close() (missed int, takes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.lines)
	}
	select {
	case <-p.done:
		return p.missed, true
	case <-time.After(patience):
		return p.missed + len(p.lines), false
	}
}
