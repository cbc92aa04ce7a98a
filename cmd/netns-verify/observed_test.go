package main

import (
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// TestObserveAll: in a real namespace, watching everything finds no leak that is
// none, and tells nothing about what is only watched but that it is.
func TestObserveAll(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	took := map[string]int64{}
	watched := map[string]int{}
	for _, list := range []string{"net", "all"} {
		status, stdout, stderr := in(t, worldPlain, "run", "--json", "--observe", list)
		r := decode(t, stdout)
		if status != report.ExitClean && status != report.ExitLeak || len(r.Run.NotRestored) > 0 {
			t.Fatalf("--observe %s: exit status %d, %+v: %s", list, status, r.Run, stderr)
		}
		took[list], watched[list] = r.Run.DurationMS, r.Counts.Watched
		if kinds, err := observe.Parse(list); err != nil || strings.Join(r.Run.Observe, ",") != strings.Join(kinds.Names(), ",") {
			t.Errorf("--observe %s: the report says %v", list, r.Run.Observe)
		}
		for _, l := range r.Leaks {
			for _, e := range l.Effects {
				if e.What != report.WhatSysctl || !strings.HasPrefix(e.Key, "net/") {
					t.Errorf("--observe %s: %v leaks to %+v", list, causes(l), e)
				}
			}
		}
		for _, k := range r.Keys {
			if !strings.HasPrefix(k.Key, "net/") {
				t.Errorf("--observe %s: %s has a verdict, %s", list, k.Key, k.Verdict)
			}
		}
		for _, e := range r.Unconfirmed { // others are on this machine, too
			t.Logf("--observe %s: unconfirmed: %+v", list, e)
		}
	}
	if watched["all"] < watched["net"]+50 {
		t.Errorf("watched places: %v", watched)
	}
	t.Logf("%d places in %d ms, %d in %d ms", watched["net"], took["net"], watched["all"], took["all"])
}

func TestObserveFlag(t *testing.T) {
	for _, list := range []string{"", "net,", "everything"} {
		status, stdout, stderr := cli(t, "run", "--observe", list)
		if status != report.ExitUsage || stdout != "" || !strings.Contains(stderr, "none of net, sys, proc, modules, all") {
			t.Errorf("--observe %q: exit status %d, %q", list, status, stderr)
		}
	}
}
