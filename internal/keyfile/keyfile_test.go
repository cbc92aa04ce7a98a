package keyfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// show is a line in short: number, path, value, and what its "-" means.
func show(ls Lines) string {
	var all []string
	for _, l := range ls {
		s := fmt.Sprint(l.Number, " ", l.Glob.Path())
		if l.Value != nil {
			s += "=" + *l.Value
		}
		if l.Optional {
			s += " optional"
		}
		if l.Except {
			s += " except"
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{"", "", ""},
		{"# a\n; b\n\n  \nnet.ipv4.tcp_rmem = 4096 131072 6291456 \n", "5 net/ipv4/tcp_rmem=4096 131072 6291456", ""},
		{"net.ipv4.ip_forward=1", "1 net/ipv4/ip_forward=1", ""},
		{"\ufeffnet.ipv4.ip_forward = 1\r\nnet/core/somaxconn\r\n", "1 net/ipv4/ip_forward=1; 2 net/core/somaxconn", ""},
		{"net.ipv4.conf.eth0/100.rp_filter = 2", "1 net/ipv4/conf/eth0.100/rp_filter=2", ""},
		{"net/ipv4/conf/eth0.100/rp_filter = 2", "1 net/ipv4/conf/eth0.100/rp_filter=2", ""},
		{"-net.ipv4.tcp_tw_recycle = 0", "1 net/ipv4/tcp_tw_recycle=0 optional", ""},
		{"-net.ipv4.conf.all.rp_filter", "1 net/ipv4/conf/all/rp_filter except", ""},
		{"net.ipv4.conf.*.rp_filter = 2", "1 net/ipv4/conf/*/rp_filter=2", ""},
		{"net.ipv4.ip_local_reserved_ports =", "1 net/ipv4/ip_local_reserved_ports=", ""},
		{"net.x = a=b # c", "1 net/x=a=b # c", ""},
		{"kernel.panic = 10", "1 kernel/panic=10", ""},
		{"net.ipv4.tcp_rmem\n\nnet.ipv4.[ = 1", "", "line 3: "},
		{"= 1", "", "line 1: "},
		{"-", "", "line 1: "},
		{"net.ipv4.ip_forward 1", "", "has a space"},
		{"net.x = \x00", "", "NUL"},
		{"net.x = \xff", "", "UTF-8"},
		{strings.Repeat("net.x\n", maxLines+1), "", "more than 1000 lines"},
		{strings.Repeat("#", maxBytes+1), "", "larger than"},
	} {
		got, err := Parse(strings.NewReader(tt.in))
		if show(got) != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%.60q: got %s, %v; want %s, %q", tt.in, show(got), err, tt.want, tt.err)
		}
	}
}

// What is named is not what wildcards mean (sysctl.d(5)).
func TestFor(t *testing.T) {
	ls, err := Parse(strings.NewReader(`net.ipv4.conf.*.rp_filter = 2
-net.ipv4.conf.all.rp_filter
net.ipv4.conf.eth0.rp_filter = 1
net.ipv4.conf.eth0.rp_filter = 0
net.core`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[sysctl.Key]struct {
		lines  string
		values []string
	}{
		"net/ipv4/conf/lo/rp_filter":   {"1 net/ipv4/conf/*/rp_filter=2", []string{"2"}},
		"net/ipv4/conf/all/rp_filter":  {"", nil},
		"net/ipv4/conf/eth0/rp_filter": {"3 net/ipv4/conf/eth0/rp_filter=1; 4 net/ipv4/conf/eth0/rp_filter=0", []string{"0", "1"}},
		"net/core/somaxconn":           {"5 net/core", nil},
		"net/ipv4/ip_forward":          {"", nil},
	} {
		if got := show(ls.For(key)); got != want.lines {
			t.Errorf("%s: got %q, want %q", key, got, want.lines)
		}
		if got := ls.ValuesFor(key); !slices.Equal(got, want.values) {
			t.Errorf("%s: got %q, want %q", key, got, want.values)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"net.ipv4.tcp_rmem = 1 2 3\n", "-net.a\n#\n;\nnet/*/b=", "\xff=\xff", "net.a = b = c", "{", "\ufeff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ls, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		b, err := json.Marshal(ls) // as it goes to guests and to the guardian
		var back Lines
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		ls.For("net/ipv4/tcp_rmem")
		for i, l := range ls {
			if l.Number < 1 || l.Optional && l.Except || back[i].Number != l.Number || i > 0 && ls[i-1].Number >= l.Number {
				t.Fatalf("%q: %+v", data, ls)
			}
		}
	})
}
