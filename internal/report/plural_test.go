package report

import "testing"

func TestPlural(t *testing.T) {
	for _, tt := range []struct {
		n          int
		what, want string
	}{{0, "key", "0 keys"}, {1, "key", "1 key"}, {2, "key", "2 keys"}, {1, "batch", "1 batch"}, {3, "batch", "3 batches"}, {2, "pass", "2 passes"}} {
		if got := Plural(tt.n, tt.what); got != tt.want {
			t.Errorf("%d %s: %q, want %q", tt.n, tt.what, got, tt.want)
		}
	}
}
