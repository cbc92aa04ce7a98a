package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/vm"
)

// What a run has found stays its result where the boots that were to prove it fail for good.
func TestVMProofFails(t *testing.T) {
	init, err := os.ReadFile(realGuest(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir()) // without QEMU no boot succeeds
	var log bytes.Buffer
	v := &vmSession{
		session: &session{log: zerolog.New(&log)}, f: &vmFlags{reboots: 10, jobs: 1, memory: 512 << 20, cpus: 1},
		init: init, qemu: &vm.QEMU{Accel: vm.TCG}, machines: make(chan struct{}, 1),
	}
	k := &kernelSession{vmSession: v, kernel: &kernel.Kernel{Name: "a kernel"}}
	value := "1"
	r := &report.Report{
		Leaks: []report.Leak{{
			Cause:    []report.Cause{{Key: "net/a", Attempt: report.Attempt{Value: &value}, Writer: "root"}},
			Effects:  []report.Effect{{Observer: report.ObserverHost, Kind: report.KindChanged, What: report.WhatSysctl, Key: "net/a"}},
			Evidence: report.Evidence{Status: report.StatusOneWay},
		}},
		Keys: []report.Key{{Key: "net/a", Verdict: report.VerdictLeak}},
	}
	r.Run.Phase = string(phaseBoot)
	if err := k.prove(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if len(r.Leaks) != 1 || len(r.Run.Skipped) != 1 || r.Run.Skipped[0].Phase != phaseReboots || !strings.Contains(r.Run.Skipped[0].Why, vm.ErrNoQEMU.Error()) {
		t.Errorf("leaks %+v, skipped %+v", r.Leaks, r.Run.Skipped)
	}
	if r.Conclude(report.Ending{}); r.Run.ExitStatus != report.ExitLeak || r.Run.Complete {
		t.Errorf("exit status %d, complete %v", r.Run.ExitStatus, r.Run.Complete)
	}
	if k.boots < 3 || k.boots > 3*probesAtATime || !strings.Contains(log.String(), "not all could be done") {
		t.Errorf("%d boots, log:\n%s", k.boots, log.String())
	}
}
