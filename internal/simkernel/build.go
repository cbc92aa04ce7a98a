package simkernel

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// builder puts a kernel together. Keys, rules and side effects are complete when
// finish is called.
type builder struct {
	keys    []keyModel
	effects map[int][]sameNS
	rules   []rule
	// triggers is the keys that trigger the rule of the same index.
	triggers [][]int
	plants   []plantDraft
	// devices is those that children have on request only.
	devices []string
}

// plantDraft is a plant while keys are numbers.
type plantDraft struct {
	kind   Kind
	cause  []int
	oneWay bool
	// viaSide is the global key that is reached by a side effect, -1 for none.
	viaSide int
}

func newBuilder() *builder { return &builder{effects: map[int][]sameNS{}} }

func (b *builder) add(m keyModel) int {
	b.keys = append(b.keys, m)
	return len(b.keys) - 1
}

// plant begins a leak and returns its number from 1.
func (b *builder) plant(kind Kind, cause ...int) int {
	b.plants = append(b.plants, plantDraft{kind: kind, cause: cause, viaSide: -1})
	return len(b.plants)
}

// rule adds a rule that any of these keys triggers.
func (b *builder) rule(r rule, keys ...int) {
	b.rules = append(b.rules, r)
	b.triggers = append(b.triggers, keys)
}

func (b *builder) side(from int, s sameNS) { b.effects[from] = append(b.effects[from], s) }

// finish makes the kernel and works out what its plants can be seen to do.
func (b *builder) finish(seed uint64, c clock) *Kernel {
	k := &Kernel{clock: c, started: map[netns.Role]int{}, model: model{
		seed: seed, keys: b.keys, index: make(map[sysctl.Key]int, len(b.keys)), rules: b.rules, devices: b.devices,
		effects: make([][]sameNS, len(b.keys)), byKey: make([][]int, len(b.keys)),
	}}
	for i := range b.keys {
		k.index[b.keys[i].name] = i
		k.sorted = append(k.sorted, i)
		if b.keys[i].global {
			k.globals = append(k.globals, i)
		}
		if device, _ := b.keys[i].name.Device(); slices.Contains(b.devices, device) {
			b.keys[i].device = device
		}
		k.effects[i] = b.effects[i]
	}
	slices.SortFunc(k.sorted, func(x, y int) int {
		if b.keys[x].name < b.keys[y].name {
			return -1
		}
		return 1
	})
	for r, keys := range b.triggers {
		for _, i := range keys {
			k.byKey[i] = append(k.byKey[i], r)
		}
	}
	for n := range b.plants {
		k.plants = append(k.plants, b.plantTruth(n))
		k.log.visible = append(k.log.visible, map[Effect]bool{})
		k.log.stood = append(k.log.stood, false)
	}
	for _, r := range b.rules {
		for _, a := range r.actions {
			if a.to&toLater != 0 {
				k.templated = append(k.templated, a.key)
			}
		}
	}
	k.log.planned, k.log.any = map[sysctl.Key]tellers{}, map[sysctl.Key]tellers{}
	k.makeHost()
	return k
}

func (b *builder) plantTruth(n int) Plant {
	d := b.plants[n]
	p := Plant{Kind: d.kind, OneWay: d.oneWay}
	for _, i := range d.cause {
		p.Cause = append(p.Cause, b.keys[i].name)
	}
	slices.Sort(p.Cause)
	effects, derived := map[Effect]bool{}, map[Effect]bool{}
	reach := func(key int, to targets) {
		m := &b.keys[key]
		if m.global {
			to = toHost | toOthers | toLater
		}
		if to&toHost != 0 && m.host.mode != 0 {
			effects[Effect{report.ObserverHost, m.name}] = true
			if m.inherit && m.child.mode != 0 {
				derived[Effect{report.ObserverLater, m.name}] = true
			}
		}
		if to&toOthers != 0 && m.child.mode != 0 {
			effects[Effect{report.ObserverSibling, m.name}] = true
		}
		if to&toLater != 0 && m.child.mode != 0 {
			effects[Effect{report.ObserverLater, m.name}] = true
		}
	}
	for _, r := range b.rules {
		for _, a := range r.actions {
			if r.plant == n+1 {
				reach(a.key, a.to)
			}
		}
	}
	for _, i := range d.cause {
		if b.keys[i].global && b.keys[i].plant == n+1 {
			reach(i, 0)
		}
	}
	if d.viaSide >= 0 {
		reach(d.viaSide, 0)
	}
	p.Effects, p.Derived = sortedEffects(effects), sortedEffects(derived)
	return p
}

// truth is what Check needs to know.
func (b *builder) truth(k *Kernel) []KeyTruth {
	involved := map[int]bool{}
	for from, sides := range b.effects {
		involved[from] = true
		for _, s := range sides {
			involved[s.key] = true
		}
	}
	for r, keys := range b.triggers {
		for _, i := range keys {
			involved[i] = true
		}
		for _, a := range b.rules[r].actions {
			involved[a.key] = true
		}
	}
	for _, d := range b.plants {
		for _, i := range d.cause {
			involved[i] = true
		}
	}
	var out []KeyTruth
	for _, i := range k.sorted {
		m := &k.keys[i]
		blinks := m.restless != nil && m.restless.blink
		device, _ := m.name.Device()
		t := KeyTruth{
			Key: m.name, InChild: m.child.present() && !blinks,
			Restless: m.restless != nil, RestlessHost: m.restless != nil && (m.restless.onHost || m.global), Bystander: !involved[i],
		}
		t.secret = m.host.mode == modeSecret || m.child.mode == modeSecret
		switch {
		case m.child.absent || m.host.absent || blinks:
		case m.child.mode == 0:
			t.Expect = report.VerdictHostOnly
		case m.child.mode&0o222 == 0:
			t.Expect = report.VerdictReadOnly
		case m.child.mode&0o444 == 0:
			t.Expect = report.VerdictWriteOnly
		case m.restless != nil:
		case m.refuse != 0 || m.ignore || m.hidden || m.host.mode == 0 && device == "":
			t.Expect = report.VerdictUntested
		}
		out = append(out, t)
	}
	return out
}
