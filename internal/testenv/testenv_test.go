package testenv

import "testing"

func TestRequired(t *testing.T) {
	t.Setenv(RequireVariable, "netns, vm")
	for feature, want := range map[string]bool{"netns": true, "vm": true, "net": false, "": false} {
		if Required(feature) != want {
			t.Errorf("Required(%q) is %v", feature, !want)
		}
	}
}

func TestNeedNetNS(t *testing.T) { NeedNetNS(t) }

func TestNeedFiles(t *testing.T) { NeedFiles(t, "6.1-cloud") }
