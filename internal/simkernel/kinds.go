package simkernel

import "fmt"

// kinds says how each kind that is drawn is called, and plants one leak of it, with
// keys of its own.
var kinds = [...]struct {
	name  string
	plant func(*generator, Kind)
}{
	SameKeyGlobal:  {"same-key-global", plantGlobal},
	SameKeyHost:    {"same-key-host", plantSameHost},
	SetOnly:        {"set-only", plantSetOnly},
	CrossFollow:    {"cross-follow", plantCrossFollow},
	CrossConstant:  {"cross-constant", plantCrossConstant},
	CrossHost:      {"cross-host", plantCrossHost},
	SiblingOnly:    {"sibling-only", plantSiblingOnly},
	LaterFollow:    {"later-follow", plantLaterFollow},
	LaterConstant:  {"later-constant", plantLaterConstant},
	LatchSame:      {"latch-same", plantLatchSame},
	LatchCross:     {"latch-cross", plantLatchCross},
	ValueDependent: {"value-dependent", plantValueDependent},
	DecreaseOnly:   {"decrease-only", plantDecrease},
	Conjunctive:    {"conjunctive", plantConjunctive},
	Masked:         {"masked", plantMasked},
	SharedEffect:   {"shared-effect", plantShared},
	Delayed:        {"delayed", plantDelayed},
	Rejected:       {"rejected", plantRejected},
	Appear:         {"appear", plantExistence},
	Disappear:      {"disappear", plantExistence},
	Chain:          {"chain", plantChain},
	MultiEffect:    {"multi-effect", plantMulti},
	LatchTwo:       {"latch-two", plantLatchTwo},
	LatchLate:      {"latch-late", plantLatchLate},
	Restless:       {"restless", plantRestless},
	AtExit:         {"at-exit", plantAtExit},
	DeviceSame:     {"device-same", plantDeviceSame},
	DeviceCross:    {"device-cross", plantDeviceCross},
}

func (k Kind) String() string {
	switch {
	case k == OnRead:
		return "on-read"
	case k < 0 || int(k) >= len(kinds):
		return fmt.Sprintf("kind %d", int(k))
	}
	return kinds[k].name
}

// Kinds is all kinds, in order.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}
