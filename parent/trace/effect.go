package trace

import (
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// The observers, as the report names them.
const (
	Host    = "host"
	Sibling = "sibling"
	Later   = "later"
)

// Place is where an effect shows.
type Place struct {
	Observer string
	Key      sysctl.Key
}

// Effect is a place that is not as it was.
type Effect struct {
	Place
	Before, After sysctl.State
}

// EffectsOf is the effects that an observer's changes are.
func EffectsOf(observer string, changes []sysctl.Change) []Effect {
	effects := make([]Effect, len(changes))
	for i, c := range changes {
		effects[i] = Effect{Place{observer, c.Key}, c.Before, c.After}
	}
	return effects
}

// HasPlace tells whether one of the effects shows at the place.
func HasPlace(effects []Effect, p Place) bool {
	return slices.ContainsFunc(effects, func(e Effect) bool { return e.Place == p })
}

// At is the effect at a place.
func At(effects []Effect, p Place) Effect {
	return effects[slices.IndexFunc(effects, func(e Effect) bool { return e.Place == p })]
}

// Breadth ranks keys by how many others they may move: from global to default to device.
func Breadth(k sysctl.Key) int {
	switch {
	case strings.Contains(string(k), "/default/"):
		return 1
	case strings.Contains(string(k), "/conf/") || strings.Contains(string(k), "/neigh/"):
		if strings.Contains(string(k), "/all/") {
			return 2
		}
		return 0
	}
	return 2
}
