package report

import (
	"errors"
	"strings"
	"testing"
)

func TestConclude(t *testing.T) {
	var (
		isolated   = Key{Key: "net/a", Verdict: VerdictIsolated}
		latched    = Key{Key: "net/b", Verdict: VerdictUntested, UntestedReason: ReasonLatched}
		explained  = Key{Key: "net/c", Verdict: VerdictUntested, UntestedReason: ReasonRefused, Note: "the kernel has one value only"}
		refused    = Key{Key: "net/d", Verdict: VerdictUntested, UntestedReason: ReasonRefused}
		excluded   = Key{Key: "net/e", Verdict: VerdictUntested, UntestedReason: ReasonExcluded, Excluded: true}
		notAsked   = Key{Key: "net/n", Verdict: VerdictHostOnly, Excluded: true}
		hostOnly   = Key{Key: "net/h", Verdict: VerdictHostOnly}
		readOnly   = Key{Key: "net/r", Verdict: VerdictReadOnly}
		writeOnly  = Key{Key: "net/o", Verdict: VerdictWriteOnly}
		leak       = Leak{Evidence: Evidence{Status: StatusConfirmed}, Effects: []Effect{{Observer: ObserverHost, Key: "net/l"}}}
		oneWay     = Leak{Evidence: Evidence{Status: StatusOneWay}, Effects: []Effect{{Observer: ObserverHost, Key: "net/w"}}}
		elsewhere  = Leak{Evidence: Evidence{Status: StatusOneWay}, Effects: []Effect{{Observer: ObserverSibling, Key: "net/w"}}}
		unresolved = Leak{Evidence: Evidence{Status: StatusUnresolved}}
		foreign    = Effect{Observer: ObserverHost, Key: "net/f"}
		lostW      = NotRestored{Key: "net/w"}
		lostL      = NotRestored{Key: "net/l"}
	)
	allow := func(globs ...string) func(string) bool {
		return func(key string) bool { return strings.Contains(strings.Join(globs, " "), key) }
	}
	for _, tt := range []struct {
		name        string
		keys        []Key
		leaks       []Leak
		unconfirmed []Effect
		lost        []NotRestored
		dryRun      bool
		perturbed   int
		end         Ending
		complete    bool
		status      int
		reason      string
	}{
		{name: "clean", keys: []Key{isolated}, complete: true, reason: "no leaks found"},
		{name: "clean and strict", keys: []Key{isolated}, end: Ending{Strict: true}, complete: true, reason: "no leaks found"},
		{name: "untested", keys: []Key{isolated, latched}, reason: "no leaks found, but 1 key could not be tested"},
		{name: "untested, strict", keys: []Key{isolated, latched}, end: Ending{Strict: true}, status: 3, reason: "incomplete (--strict): 1 key could not be tested (net.b: latched)"},
		{name: "untested, strict, allowed", keys: []Key{isolated, latched}, end: Ending{Strict: true, AllowUntested: allow("net/b")}, reason: "no leaks found, but 1 key could not be tested"},
		{name: "one allowed, one not", keys: []Key{isolated, latched, refused}, end: Ending{Strict: true, AllowUntested: allow("net/b")}, status: 3, reason: "incomplete (--strict): 1 key could not be tested (net.d: refused)"},
		{name: "many, strict", keys: []Key{latched, refused, latched, latched, latched}, end: Ending{Strict: true}, status: 3,
			reason: "incomplete (--strict): 5 keys could not be tested (net.b: latched, net.d: refused, net.b: latched and 2 more)"},
		{name: "refused with a note, strict", keys: []Key{isolated, explained}, end: Ending{Strict: true}, reason: "no leaks found, but 1 key could not be tested"},
		{name: "refused without a note, strict", keys: []Key{isolated, refused}, end: Ending{Strict: true}, status: 3, reason: "incomplete (--strict): 1 key could not be tested (net.d: refused)"},
		{name: "no key at all", status: 3, reason: "there is no key to test"},
		{name: "no key at all, dry run", dryRun: true, status: 3, reason: "there is no key to test"},
		{name: "nothing took effect", keys: []Key{latched, explained, excluded, readOnly, hostOnly}, status: 3, reason: "nothing was tested: none of 2 writable keys could be"},
		{name: "nothing took effect, strict, allowed", keys: []Key{latched}, end: Ending{Strict: true, AllowUntested: allow("net/b")}, status: 3, reason: "nothing was tested: none of 1 writable key could be"},
		{name: "nothing proven, though something took effect", keys: []Key{latched}, perturbed: 1, reason: "no leaks found, but 1 key could not be tested"},
		{name: "a rejected write leaks", keys: []Key{refused}, leaks: []Leak{leak}, status: 1, reason: "1 leak"},
		{name: "write-only", keys: []Key{writeOnly, latched}, reason: "no leaks found, but 1 key could not be tested"},
		{name: "read-only", keys: []Key{readOnly}, end: Ending{Strict: true}, complete: true, reason: "no leaks found"},
		{name: "host-only", keys: []Key{hostOnly}, end: Ending{Strict: true}, complete: true, reason: "no leaks found"},
		{name: "excluded, strict", keys: []Key{isolated, excluded, notAsked}, end: Ending{Strict: true}, complete: true, reason: "no leaks found"},
		{name: "nothing but excluded, strict", keys: []Key{excluded, notAsked}, end: Ending{Strict: true}, status: 3, reason: "incomplete (--strict): not everything was tried"},
		{name: "host-only and read-only are answers, strict", keys: []Key{hostOnly, readOnly, excluded}, end: Ending{Strict: true}, complete: true, reason: "no leaks found"},
		{name: "leak", keys: []Key{isolated}, leaks: []Leak{leak}, complete: true, status: 1, reason: "1 leak"},
		{name: "leaks, incomplete", keys: []Key{latched}, leaks: []Leak{leak, leak}, status: 1, reason: "2 leaks"},
		{name: "leak, incomplete, strict", keys: []Key{latched}, leaks: []Leak{leak}, end: Ending{Strict: true}, status: 3, reason: "incomplete (--strict): 1 key could not be tested (net.b: latched); 1 leak"},
		{name: "one-way leak latches the host", keys: []Key{isolated}, leaks: []Leak{oneWay}, lost: []NotRestored{lostW}, complete: true, status: 1, reason: "1 leak"},
		{name: "one-way leak of another observer", keys: []Key{isolated}, leaks: []Leak{elsewhere}, lost: []NotRestored{lostW}, status: 3, reason: "host not restored: 1 key; 1 leak"},
		{name: "leak not restored", keys: []Key{isolated}, leaks: []Leak{leak, oneWay}, lost: []NotRestored{lostL, lostW}, status: 3, reason: "host not restored: 1 key; 2 leaks"},
		{name: "unresolved leak", keys: []Key{isolated}, leaks: []Leak{unresolved}, status: 1, reason: "1 leak"},
		{name: "foreign change", keys: []Key{isolated}, unconfirmed: []Effect{foreign}, reason: "no leaks found, but 1 change could not be explained"},
		{name: "foreign change, strict", keys: []Key{isolated}, unconfirmed: []Effect{foreign}, end: Ending{Strict: true}, status: 3, reason: "incomplete (--strict): 1 change could not be explained (net.f)"},
		{name: "could not verify", keys: []Key{isolated}, leaks: []Leak{leak}, end: Ending{Err: errors.New("writer: no hello")}, status: 3, reason: "writer: no hello; 1 leak"},
		{name: "could not verify nor restore", lost: []NotRestored{lostL}, end: Ending{Err: errors.New("writer: no hello")}, status: 3, reason: "writer: no hello; host not restored: 1 key"},
		{name: "signal", keys: []Key{isolated}, leaks: []Leak{leak}, end: Ending{Signal: 2, Err: errors.New("ended by SIGINT")}, status: 130, reason: "ended by SIGINT; 1 leak"},
		{name: "signal, not restored", lost: []NotRestored{lostL}, end: Ending{Signal: 15, Err: errors.New("ended by SIGTERM")}, status: 143, reason: "ended by SIGTERM; host not restored: 1 key"},
		{name: "asked wrongly", keys: []Key{isolated}, end: Ending{Usage: true, Err: errors.New("no such key")}, status: 2, reason: "no such key"},
		{name: "dry run, strict", keys: []Key{isolated}, dryRun: true, end: Ending{Strict: true}, reason: "dry run: nothing was written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Report{Keys: tt.keys, Leaks: tt.leaks, Unconfirmed: tt.unconfirmed, Counts: Counts{Perturbed: tt.perturbed}, Run: Run{NotRestored: tt.lost, DryRun: tt.dryRun}}
			for range 2 { // a second call changes nothing
				r.Conclude(tt.end)
				if r.Run.Complete != tt.complete || r.Run.ExitStatus != tt.status || r.Run.ExitReason != tt.reason {
					t.Fatalf("got complete %v, exit %d, %q; want %v, %d, %q",
						r.Run.Complete, r.Run.ExitStatus, r.Run.ExitReason, tt.complete, tt.status, tt.reason)
				}
			}
		})
	}
}
