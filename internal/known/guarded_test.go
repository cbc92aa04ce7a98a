package known

import "testing"

func TestMessageKey(t *testing.T) {
	for _, tt := range []struct {
		text, key string
		guarded   bool
	}{
		{"sysctl net/leaky/same: data points to module global data: leaky_same", "net/leaky/same", true},
		{"sysctl net/ipv4/conf/eth0: 1/x: data points to kernel global data: init_net+0x40", "net/ipv4/conf/eth0: 1/x", true},
		{"WARNING: sysctl net/core/a: data points to kernel global data: a", "net/core/a", true},
		{"sysctl table check failed: net/leaky/x Not a file", "net/leaky/x", false},
		{"sysctl net/../kernel/x: data points to module global data: x", "", false},
		{"sysctl kernel/x: data points to module global data: x", "", false},
		{"sysctl net/leaky/same: something else", "", false},
		{"", "", false},
	} {
		if k := MessageKey(tt.text); string(k) != tt.key {
			t.Errorf("%q is about %q, want %q", tt.text, k, tt.key)
		}
		if _, ok := Guarded(tt.text); ok != tt.guarded {
			t.Errorf("%q: guarded %t", tt.text, ok)
		}
	}
}
