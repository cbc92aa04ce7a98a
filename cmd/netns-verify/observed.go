package main

import (
	"strings"

	"github.com/netns-verify/netns-verify/internal/observe"
)

// observed is a list of what is watched (pflag.Value).
type observed struct{ observe.Kinds }

func (o *observed) Set(s string) (err error) {
	o.Kinds, err = observe.Parse(s)
	return err
}

func (o *observed) String() string {
	if len(o.Kinds) == len(observe.All()) {
		return "all"
	}
	return strings.Join(o.Names(), ",")
}

func (*observed) Type() string { return "LIST" }
