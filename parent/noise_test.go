package parent

import (
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

func TestMovedBetween(t *testing.T) {
	at := func(key, value string) trace.Effect {
		return trace.Effect{Place: trace.Place{Observer: trace.Host, Key: sysctl.Key(key)}, Before: sysctl.State{Value: "0"}, After: sysctl.State{Value: value}}
	}
	for _, tt := range []struct {
		name string
		a, b []trace.Effect
		want []string
	}{
		{"nothing", nil, nil, nil},
		{"still off", []trace.Effect{at("a", "1")}, []trace.Effect{at("a", "1")}, nil},
		{"moved on", []trace.Effect{at("a", "1"), at("b", "1")}, []trace.Effect{at("a", "2"), at("b", "1")}, []string{"a"}},
		{"new", nil, []trace.Effect{at("a", "1")}, []string{"a"}},
		{"came back", []trace.Effect{at("a", "1")}, nil, []string{"a"}},
		{"all kinds", []trace.Effect{at("a", "1"), at("b", "1"), at("c", "1")}, []trace.Effect{at("b", "2"), at("c", "1"), at("d", "1")}, []string{"a", "b", "d"}},
	} {
		var got []string
		for _, p := range movedBetween(tt.a, tt.b) {
			got = append(got, string(p.Key))
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	host, sibling := at("a", "1"), at("a", "1")
	sibling.Observer = trace.Sibling
	if got := movedBetween([]trace.Effect{host}, []trace.Effect{sibling}); len(got) != 2 {
		t.Errorf("two observers are taken for one: %v", got)
	}
}
