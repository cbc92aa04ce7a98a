package simkernel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// describe is all that is drawn from a seed, as text.
func describe(k *Kernel, t Truth) string {
	var b strings.Builder
	for i := range k.keys {
		m := k.keys[i]
		m.restless = nil // a pointer
		fmt.Fprintf(&b, "%+v %d\n", m, len(k.effects[i]))
	}
	for _, r := range k.rules {
		fmt.Fprintln(&b, r.plant, r.name, r.delay, len(r.actions))
	}
	fmt.Fprintln(&b, t.Plants, t.Keys, k.byKey)
	return b.String()
}

func TestGenerateIsDeterministic(t *testing.T) {
	for seed := range uint64(200) {
		k1, t1 := Generate(seed)
		k2, t2 := Generate(seed)
		if a, b := describe(k1, t1), describe(k2, t2); a != b {
			t.Fatalf("seed %d:\n%s\n%s", seed, a, b)
		}
		if again := describe(t1.again(), t1); again != describe(k1, t1) {
			t.Fatalf("seed %d: the kernel made again is another one", seed)
		}
	}
}

func TestSizes(t *testing.T) {
	leaks := map[int]int{}
	for seed := range uint64(500) {
		k, truth := Generate(seed)
		if n := len(k.keys); n < minKeys || n > maxKeys+20 && (n > largeKeys+2 || seed%largeEvery != largeEvery-1) {
			t.Errorf("seed %d: %d keys", seed, n)
		}
		if len(k.index) != len(k.keys) {
			t.Errorf("seed %d: two keys have one name", seed)
		}
		leaks[len(truth.Plants)]++
	}
	t.Logf("kernels by number of leaks: %v", leaks)
}

// Whatever single write a run may try, what the observers see of it is planted
// with that cause; and every effect of every plant is seen with some write.
func TestTruthOfSingleWrites(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			shown, of := 0, 0
			for seed := range uint64(20) {
				_, truth := GenerateKind(seed, kind)
				s, n := singleWrites(t, truth)
				shown, of = shown+s, of+n
			}
			t.Logf("%d of %d effects can be shown with the usual candidates", shown, of)
			if kind != Conjunctive && kind != LatchTwo && kind != Restless && shown*10 < of*7 {
				t.Errorf("only %d of %d effects can be shown", shown, of)
			}
		})
	}
}

func singleWrites(t *testing.T, truth Truth) (shown, of int) {
	k := truth.again()
	tree := view{k, k.furnished(netns.RoleWriter)}
	base, err := sysctl.Survey(tree, tree.Keep())
	if err != nil {
		t.Fatal(err)
	}
	shows := map[string]bool{}
	for _, e := range base {
		if !e.Writable() {
			continue
		}
		for _, d := range []perturb.Direction{perturb.Up, perturb.Down} {
			for _, c := range candidates(e, base, k.Host(), d) {
				for effect := range truth.replay([]assignment{{e.Key, c}}) {
					explained := false
					for i, p := range truth.Plants {
						if p.shows(effect) && slices.Equal(p.Cause, []sysctl.Key{e.Key}) {
							explained = true
							shows[fmt.Sprint(i, effect)] = true
						}
					}
					if !explained {
						t.Errorf("seed %d: %s = %q shows at %v, which is not planted: %v", truth.Seed, e.Key, c, effect, truth.Plants)
					}
				}
			}
		}
	}
	for i, p := range truth.Plants {
		for _, e := range p.Effects {
			of++
			if shows[fmt.Sprint(i, e)] {
				shown++
			}
		}
	}
	return shown, of
}

// The whole way: the real children, a plain run, and a report that says what the
// kernel saw. Check finds nothing wrong with it, and something with any other.
func TestCheck(t *testing.T) {
	visible, plants := map[Kind]int{}, map[Kind]int{}
	for _, kind := range Kinds() {
		for n := range uint64(20) {
			seed := uint64(kind)<<32 | n
			synctest.Test(t, func(t *testing.T) {
				k, truth := GenerateKind(seed, kind)
				checkOne(t, k, truth, 1+int(n)%16)
				for i, p := range truth.Plants {
					plants[p.Kind]++
					if len(k.log.visible[i]) > 0 {
						visible[p.Kind]++
					}
				}
			})
		}
	}
	for _, kind := range Kinds() {
		t.Logf("%-16v %3d of %3d plants visible", kind, visible[kind], plants[kind])
		if visible[kind]*10 < plants[kind]*3 {
			t.Errorf("%v: only %d of %d plants were visible", kind, visible[kind], plants[kind])
		}
	}
}

func TestCheckMixed(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			k, truth := Generate(seed)
			checkOne(t, k, truth, 1+int(seed)%16)
		})
	}
}

func checkOne(t *testing.T, k *Kernel, truth Truth, batch int) {
	before := k.Snapshot()
	drive(t, k, batch)
	after, l := k.Snapshot(), k.Log()
	good := perfect(t, truth, l, before, after)
	if bad := Check(truth, l, good, before, after); len(bad) > 0 {
		t.Errorf("seed %d: a true report is refused: %q\n%v", truth.Seed, bad, truth.Plants)
		return
	}
	for name, spoil := range spoils {
		r := perfect(t, truth, l, before, after)
		if spoil(r, truth) && len(Check(truth, l, r, before, after)) == 0 {
			t.Errorf("seed %d: nothing is wrong with a report with %s", truth.Seed, name)
		}
	}
}

// spoils make a report untrue; false where they cannot.
var spoils = map[string]func(*report.Report, Truth) bool{
	"a leak missing": func(r *report.Report, _ Truth) bool {
		if len(r.Leaks) == 0 {
			return false
		}
		r.Leaks = r.Leaks[1:]
		return true
	},
	"an effect missing": func(r *report.Report, _ Truth) bool {
		if len(r.Leaks) == 0 {
			return false
		}
		r.Leaks[0].Effects = r.Leaks[0].Effects[1:]
		return true
	},
	"a cause too many": func(r *report.Report, t Truth) bool {
		if len(r.Leaks) == 0 || r.Leaks[0].Evidence.Status != report.StatusConfirmed {
			return false
		}
		r.Leaks[0].Cause = append(r.Leaks[0].Cause, report.Cause{Key: string(t.Keys[0].Key), Attempt: report.Attempt{Value: new(string)}})
		return r.Leaks[0].Cause[0].Key != string(t.Keys[0].Key)
	},
	"another cause": func(r *report.Report, t Truth) bool {
		if len(r.Leaks) == 0 {
			return false
		}
		r.Leaks[0].Cause = []report.Cause{{Key: "net/none", Attempt: report.Attempt{Value: new(string)}}}
		return true
	},
	"a leaking key isolated": func(r *report.Report, _ Truth) bool {
		for i := range r.Keys {
			if r.Keys[i].Verdict == report.VerdictLeak {
				r.Keys[i].Verdict = report.VerdictIsolated
				return true
			}
		}
		return false
	},
	"an untested key isolated": func(r *report.Report, t Truth) bool {
		for i := range r.Keys {
			if r.Keys[i].Verdict == report.VerdictUntested && !t.Keys[i].Restless {
				r.Keys[i].Verdict = report.VerdictIsolated
				return true
			}
		}
		return false
	},
	"a key missing": func(r *report.Report, t Truth) bool {
		for i := range r.Keys {
			if t.Keys[i].InChild {
				r.Keys = slices.Delete(r.Keys, i, i+1)
				return true
			}
		}
		return false
	},
	"a leak that is none": func(r *report.Report, t Truth) bool {
		key := string(t.Keys[len(t.Keys)-1].Key)
		r.Leaks = append(r.Leaks, report.Leak{
			Cause:    []report.Cause{{Key: key, Attempt: report.Attempt{Value: new(string)}}},
			Effects:  []report.Effect{{Observer: report.ObserverSibling, Key: "net/none"}},
			Evidence: report.Evidence{Status: report.StatusConfirmed},
		})
		return true
	},
	"a key not restored": func(r *report.Report, _ Truth) bool {
		if len(r.Run.NotRestored) > 0 {
			r.Run.NotRestored = nil
		} else {
			r.Run.NotRestored = []report.NotRestored{{Key: r.Keys[0].Key}}
		}
		return true
	},
}
