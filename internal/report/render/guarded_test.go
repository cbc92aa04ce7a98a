package render

import (
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

func TestGuarded(t *testing.T) {
	key := func(root, user string) report.Key {
		k := report.Key{Writers: map[string]report.Writer{}}
		for name, mode := range map[string]string{"root": root, "userns": user} {
			if mode != "" {
				k.Writers[name] = report.Writer{View: report.View{Mode: mode}}
			}
		}
		return k
	}
	for _, tt := range []struct {
		name string
		keys []report.Key
		want string
	}{
		{"none", nil, ""},
		{"only root wrote", []report.Key{key("0644", ""), key("0644", "")}, ""},
		{"only the user wrote", []report.Key{key("", "0644"), key("", "0444")}, ""},
		{"nothing kept from the user", []report.Key{key("0644", "0644"), key("0444", "0444"), key("", "")}, ""},
		{"both", []report.Key{key("0644", "0644"), key("0644", ""), key("0444", ""), key("0644", "0444")}, "2 keys hidden from an ordinary user, 1 read-only"},
	} {
		if got := guarded(tt.keys); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
