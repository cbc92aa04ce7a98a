package parent

import (
	"syscall"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// However a host key came to be expected as it is, the run ends with the first
// snapshot's value, or the report says what is different.
func TestLastLook(t *testing.T) {
	const key = sysctl.Key("net/core/k")
	at := trace.Place{Observer: trace.Host, Key: key}
	refuses := handler{write: func(*space, *space, sysctl.Key, string) error { return syscall.EBUSY }}
	state := func(v string) sysctl.State { return sysctl.State{Value: v} }
	for name, tt := range map[string]struct {
		handler                           handler
		now, expected                     string
		leak, unresolved, noted, restless bool
		want                              string
		notRestored, unconfirmed, left    bool
		warned                            bool
	}{
		"as it was":                                {now: "10", expected: "10", want: "10"},
		"a leak":                                   {now: "11", expected: "10", leak: true, want: "10"},
		"a leak, not expected back":                {now: "11", expected: "11", leak: true, want: "10"},
		"a leak after it was taken for others":     {now: "12", expected: "12", noted: true, leak: true, want: "10", warned: true},
		"a leak that cannot be put back":           {handler: refuses, now: "11", expected: "11", noted: true, leak: true, want: "11", notRestored: true, left: true},
		"an unresolved leak":                       {now: "11", expected: "11", leak: true, unresolved: true, want: "11", notRestored: true, left: true},
		"an unresolved leak, noted, and off again": {now: "11", expected: "10", noted: true, leak: true, unresolved: true, want: "11", notRestored: true, unconfirmed: true, left: true},
		"others":                                {now: "12", expected: "10", want: "12", unconfirmed: true},
		"others, expected":                      {now: "12", expected: "12", want: "12", unconfirmed: true},
		"others, noted":                         {now: "12", expected: "12", noted: true, want: "12", unconfirmed: true},
		"restless":                              {now: "12", expected: "10", restless: true, want: "12"},
		"restless, where a leak left it":        {now: "11", expected: "11", restless: true, leak: true, want: "10"},
		"restless, where it cannot be put back": {handler: refuses, now: "11", expected: "11", restless: true, leak: true, want: "11", notRestored: true, left: true},
		"restless, and moved on":                {now: "12", expected: "11", restless: true, leak: true, want: "12"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{key: tt.handler})
			r := newRun(k, Options{})
			var err error
			if r.host, err = sysctl.NewSweeper(k.Host()); err != nil {
				t.Fatal(err)
			}
			k.host.values[key] = tt.now
			r.host.Expect(key, state(tt.expected))
			e := trace.Effect{Place: at, Before: state("10"), After: state(tt.now)}
			if tt.noted {
				r.note(e, "no replay reproduces it")
			}
			if tt.leak {
				e.After = state("11")
				r.leaks = finding.Leaks{{Cause: []trace.Write{{Key: key, Value: "11"}}, Effects: []trace.Effect{e}, Status: finding.Confirmed}}
				if tt.unresolved {
					r.leaks[0].Status = finding.Unresolved
				}
			}
			r.restless[at] = tt.restless
			if err := r.lastLook(); err != nil {
				t.Fatal(err)
			}
			rep := r.report(PhaseReport)
			if got := k.host.values[key]; got != tt.want {
				t.Errorf("the host is left with %s, want %s", got, tt.want)
			}
			if got := len(rep.Run.NotRestored) > 0; got != tt.notRestored {
				t.Errorf("not restored: %v, want %v", got, tt.notRestored)
			}
			if got := len(rep.Unconfirmed) > 0; got != tt.unconfirmed {
				t.Errorf("unconfirmed: %v, want %v", got, tt.unconfirmed)
			}
			if got := len(rep.Warnings) > 0; got != tt.warned {
				t.Errorf("warnings: %v, want any: %v", rep.Warnings, tt.warned)
			}
			if tt.leak && rep.Leaks[0].Restored == tt.left {
				t.Errorf("the leak is said to be restored: %v", rep.Leaks[0].Restored)
			}
		})
	}
}
