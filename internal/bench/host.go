package main

import (
	"context"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// hostTimes is what looking at the host takes, which every run does again and again.
type hostTimes struct {
	survey sample // descriptors being opened and kept
	sweep  sample // through those
	keys   int
}

func measureHost(ctx context.Context, n int) (t hostTimes, err error) {
	for range n {
		if err := context.Cause(ctx); err != nil {
			return t, err
		}
		if err := t.measure(); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t *hostTimes) measure() error {
	start := time.Now()
	s, err := sysctl.NewSweeper(sysctl.NewProc(sysctl.ProcRoot))
	if err != nil {
		return err
	}
	t.survey.add(time.Since(start))
	defer func() { _ = s.Close() }()
	t.keys = len(s.Baseline())
	start = time.Now()
	if _, err := s.Sweep(); err != nil {
		return err
	}
	t.sweep.add(time.Since(start))
	return nil
}
