package protocol

import (
	"bytes"
	"strings"
	"testing"
)

// TestDevicesRequest: what a child is asked to make has names and numbers that
// the kernel could have, and not too many of them.
func TestDevicesRequest(t *testing.T) {
	like := func(names ...Bytes) Devices {
		var d Devices
		for i, n := range names {
			d.Like = append(d.Like, Like{Name: n, Index: i + 2})
		}
		return d
	}
	many := make([]Bytes, MaxLike)
	for i := range many {
		many[i] = Bytes(strings.Repeat("x", 1+i%maxDeviceName))
	}
	for _, tt := range []struct {
		name string
		d    Devices
		want string // of the error
	}{
		{"nothing", Devices{}, ""},
		{"kinds", Devices{Kinds: []string{"veth", "bridge"}}, ""},
		{"names", like("eth0", "eth0.100", "br-0_x", "veth@if2", "\xff\xfe", "fifteen-bytes-x", "%d"), ""},
		{"as many as may be", like(many...), ""},
		{"too many", like(append(many, "x")...), "at most"},
		{"too many kinds", Devices{Kinds: make([]string, MaxKinds+1)}, "at most"},
		{"too long", like("sixteen-bytes-xx"), "longer"},
		{"empty", like(""), "empty"},
		{"a slash", like("a/b"), "character"},
		{"up", like(".."), "directory"},
		{"here", like("."), "directory"},
		{"a space", like("a b"), "character"},
		{"a space of Latin-1", like("a\xa0b"), "character"},
		{"a colon", like("eth0:1"), "character"},
		{"a newline", like("a\n"), "character"},
		{"NUL", like("a\x00"), "character"},
		{"index below 0", Devices{Like: []Like{{Name: "a", Index: -1}}}, "index"},
		{"index of 33 bits", Devices{Like: []Like{{Name: "a", Index: 1 << 32}}}, "index"},
	} {
		var buf bytes.Buffer
		if err := NewConn[Reply, Request](nil, &buf).Send(Request{Devices: &tt.d}); err != nil {
			t.Fatal(err)
		}
		got, err := NewConn[Request, Reply](&buf, nil).Receive()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		err = got.Devices.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
