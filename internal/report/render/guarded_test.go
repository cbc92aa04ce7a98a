package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

func TestGuarded(t *testing.T) {
	n := 0
	key := func(root, user string) report.Key {
		n++
		k := report.Key{Key: fmt.Sprintf("net/k%d", n), Writers: map[string]report.Writer{}}
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
		{"both", []report.Key{key("0644", "0644"), key("0644", ""), key("0444", ""), key("0644", "0444")}, "2 keys hidden from an ordinary user: net.k9, net.k10; 1 key read-only for one: net.k11"},
	} {
		if got := guarded(tt.keys, Options{}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	var many []report.Key
	for range shown + 2 {
		many = append(many, key("0644", ""), key("0644", "0644"))
	}
	if got := guarded(many, Options{}); !strings.Contains(got, "net.k22 and 2 more (--verbose") {
		t.Errorf("many: %q", got)
	}
	if got := guarded(many, Options{Verbose: true}); !strings.HasSuffix(got, "net.k26") {
		t.Errorf("many, all wanted: %q", got)
	}
}
