package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// partTimes is the parts of a run, each alone.
type partTimes struct {
	survey, sweep, batch, start sample
	hostKeys, batchKeys         int

	run   sample            // a whole run within this process
	steps map[string]sample // what each of its steps took
}

// able tells whether a child can be started at all.
func able(ctx context.Context) error {
	m, err := machine()
	if err != nil {
		return err
	}
	defer m.Close()
	p, err := m.Start(ctx, netns.RoleWriter)
	if err != nil {
		return fmt.Errorf("%w: %w", errCannot, err)
	}
	p.Kill()
	_ = p.Wait() // it was killed
	return nil
}

func machine() (*netns.Linux, error) {
	return netns.NewLinux(netns.LinuxConfig{
		Root: sysctl.ProcRoot, Entry: child.Entry, DrainEntry: child.DrainEntry,
		Build: build, LogLevel: zerolog.LevelErrorValue, Logger: zerolog.Nop(),
	})
}

// measureParts measures the parts. What it has written in a namespace of its
// own is only what a run has shown to be isolated.
func measureParts(ctx context.Context, n int, whole report.Report) (partTimes, error) {
	t := partTimes{steps: map[string]sample{}}
	unlock, err := lock.Take()
	if err != nil {
		return t, err
	}
	defer unlock()
	batch := isolatedBatch(whole)
	t.batchKeys = len(batch)
	for range n {
		if err := context.Cause(ctx); err != nil {
			return t, err
		}
		if err := t.host(); err != nil {
			return t, err
		}
		if err := t.writer(ctx, batch); err != nil {
			return t, err
		}
		if err := t.whole(ctx); err != nil {
			return t, err
		}
	}
	return t, nil
}

// host measures a survey of the host, descriptors being opened and kept, and a
// sweep through those.
func (t *partTimes) host() error {
	start := time.Now()
	s, err := sysctl.NewSweeper(sysctl.NewProc(sysctl.ProcRoot))
	if err != nil {
		return err
	}
	t.survey.add(time.Since(start))
	defer func() { _ = s.Close() }()
	t.hostKeys = len(s.Baseline())
	start = time.Now()
	if _, err := s.Sweep(); err != nil {
		return err
	}
	t.sweep.add(time.Since(start))
	return nil
}

// isolatedBatch is a batch of keys, spread over the tree, that a run has found
// to be isolated, with the values that took effect then.
func isolatedBatch(r report.Report) []protocol.Item {
	var all, batch []protocol.Item
	for _, k := range r.Keys {
		if k.Verdict != report.VerdictIsolated {
			continue
		}
		for _, w := range k.Writers {
			for _, a := range w.Attempts {
				if a.Value != nil && w.Value != nil && a.Errno == "" && a.ValueB64 == nil && *a.Value != *w.Value && !strings.HasPrefix(*a.Value, "secret:") {
					all = append(all, protocol.Item{Key: protocol.Bytes(k.Key), Candidates: []protocol.Bytes{protocol.Bytes(*a.Value)}, Want: 1})
					break
				}
			}
		}
	}
	n := min(len(all), parent.DefaultBatchSize)
	for i := range n {
		batch = append(batch, all[i*len(all)/n])
	}
	return batch
}

// writer measures the start of a child in a fresh namespace, until it says
// hello, and one batch written there.
func (t *partTimes) writer(ctx context.Context, batch []protocol.Item) error {
	m, err := machine()
	if err != nil {
		return err
	}
	defer m.Close()
	start := time.Now()
	p, err := m.Start(ctx, netns.RoleWriter)
	if err != nil {
		return err
	}
	defer func() {
		p.Kill()
		_ = p.Wait() // it was killed
	}()
	timer := time.AfterFunc(parent.DefaultDeadline, p.Kill)
	defer timer.Stop()
	conn := protocol.NewConn[protocol.Reply, protocol.Request](p.Replies, p.Requests)
	if hello, err := conn.Receive(); err != nil {
		return fmt.Errorf("writer: %w", err)
	} else if hello.Hello == nil {
		return errors.New("writer: the first message is no hello")
	}
	t.start.add(time.Since(start))
	start = time.Now()
	if err := conn.Send(protocol.Request{Perturb: &protocol.Perturb{Items: batch}}); err != nil {
		return err
	}
	for {
		r, err := conn.Receive()
		switch {
		case err != nil:
			return fmt.Errorf("writer: %w", err)
		case r.Done != nil:
			t.batch.add(time.Since(start))
			return nil
		case r.Write == nil:
			return errors.New("writer: an answer that is no write")
		}
	}
}

// whole measures the steps of a whole run within this process.
func (t *partTimes) whole(ctx context.Context) error {
	start := time.Now()
	w := &stopwatch{at: stepStart, since: start, spent: map[string]time.Duration{}}
	m, err := machine()
	if err != nil {
		return err
	}
	o := parent.Options{Seed: uint64(len(t.run) + 1), Logger: zerolog.Nop(), Progress: w.progress}
	_, err = parent.Run(ctx, watched{m, w}, o)
	w.mark(stepEnd)
	m.Close()
	w.mark("")
	if err != nil {
		return err
	}
	t.run.add(time.Since(start))
	for _, step := range steps {
		s := t.steps[step]
		s.add(w.spent[step])
		t.steps[step] = s
	}
	return nil
}
