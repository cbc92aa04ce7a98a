package main

import (
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// What an ordinary user can have the kernel load for everybody is found, also where the
// module had been loaded before the first write of the run.
func TestVMLoads(t *testing.T) {
	if raceDetector {
		t.Skip("make test-vm runs it: what could race is in the guest")
	}
	packages := testenv.NeedVM(t, "6.1-cloud")[0]
	const module = "../../.cache/leaky/6.1-cloud/leaky.ko"
	testenv.NeedFile(t, module)
	inGuest(t, realGuest(t))
	nothingLeft(t)
	args := []string{"vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--descriptors=false", "--devices", "none", "--json",
		"--include", "net.leaky.loads", "--module", module, "--reboots", "2"}
	for _, p := range packages {
		args = append(args, "--deb", p)
	}
	status, stdout, stderr := cli(t, args...)
	r := decode(t, stdout)
	if status != report.ExitLeak || len(r.Leaks) != 1 || len(r.Run.Skipped) > 0 || !slices.Equal(r.Run.Writers, []string{"userns", "root"}) {
		t.Fatalf("exit status %d, %d leaks, run %+v, log:\n%s", status, len(r.Leaks), r.Run, stderr)
	}
	l, want := r.Leaks[0], report.Effect{Observer: report.ObserverHost, Kind: report.KindAppeared, What: report.WhatModule, Key: "dummy"}
	if !slices.Equal(causes(l), []string{"net/leaky/loads"}) || l.Cause[0].Writer != report.WriterUserNS || !l.Unprivileged || l.Evidence.Rounds != 1 || l.Evidence.Shams != 1 {
		t.Errorf("cause %+v, unprivileged %v, evidence %+v", l.Cause, l.Unprivileged, l.Evidence)
	}
	if !slices.ContainsFunc(l.Effects, func(e report.Effect) bool {
		return e.What == want.What && e.Key == want.Key && e.Observer == want.Observer && e.Kind == want.Kind
	}) {
		t.Errorf("effects %+v", l.Effects)
	}
	i := slices.IndexFunc(r.Keys, func(k report.Key) bool { return k.Key == "net/leaky/loads" })
	if k := r.Keys[i]; k.Verdict != report.VerdictLeak || k.Writers["root"].Verdict != report.VerdictIsolated {
		t.Errorf("verdict %s, of root %s", k.Verdict, k.Writers["root"].Verdict)
	}
	if !slices.ContainsFunc(r.Host.Modules, func(m report.Module) bool { return m.Name == "dummy" && m.LoadedBy == report.LoadedByUs }) {
		t.Error("the first machine had no such module before")
	}
}
