package guest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/report"
)

func TestParseRecord(t *testing.T) {
	for in, want := range map[string]record{
		"4,1,2,-;text\n": {0, 4, "text"},
		"15,339,5140900,-,caller=T1;a;b,c\n KEY=x\n": {1, 7, "a;b,c"},
		"6,1,0,-;": {0, 6, ""},
	} {
		if got, err := parseRecord(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "text", ";", "4,1,2;text", "x,1,2,-;text", "-4,1,2,-;text", "99999999999,1,2,-;text"} {
		if got, err := parseRecord(in); err == nil {
			t.Errorf("%q was read as %+v", in, got)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("4,1,2,-;text\n")
	f.Add(`15,1,2,-;netns-verify: write "net/x"`)
	f.Fuzz(func(t *testing.T, in string) {
		r, err := parseRecord(in)
		if err == nil && (r.level < 0 || r.level > 7 || len(r.text) > len(in)) {
			t.Errorf("%q was read as %+v", in, r)
		}
		_, _ = r.mark(child.Mark)
	})
}

// What stands in the log below which of our marks is put down to them.
func TestPlaceInTheLogTells(t *testing.T) {
	var got []string
	k := &kmsg{phase: PhaseModules, on: kmsgEvents{
		message: func(m report.KernelMessage) {
			got = append(got, fmt.Sprintf("%s/%s/%s", m.Text, m.Phase, m.AfterWrite))
		},
		module: func(name, key string) { got = append(got, name+" after "+key) },
	}}
	ours := func(format, what string) record {
		// The kernel escapes it once more on the way out (msg_add_ext_text, printk.c).
		var b strings.Builder
		for _, c := range []byte(fmt.Sprintf(format, what)) {
			if c < ' ' || c >= 127 || c == '\\' {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteByte(c)
			}
		}
		r, err := parseRecord("15,1,2,-;" + b.String() + "\n")
		if err != nil {
			t.Error(err)
		}
		return r
	}
	for _, r := range []record{
		{0, 4, "a warning"},
		ours(markPhase, "forward"),
		{0, 6, "nothing special"},
		{0, 6, "deprecated sysctl"},
		ours(child.Mark, "net/ipv4/conf/eth0.100/x"),
		{0, 2, "BUG:\nit\x1bis"},
		{1, 4, "some process is writing"},
		ours(child.Mark, "net/\"é\xff\\\n"),
		ours(markModule, "tcp_vegas"),
		{0, 4, "netns-verify: phase \"made up\""},
		{0, 4, "last"},
	} {
		k.take(r)
	}
	odd := "net/\"é\xff\\\n"
	if want := []string{
		"a warning/modules/", "deprecated sysctl/forward/", "BUG: it is/forward/net/ipv4/conf/eth0.100/x",
		"tcp_vegas after " + odd, `netns-verify: phase "made up"/forward/` + odd, "last/forward/" + odd,
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestHeardIsBounded(t *testing.T) {
	told := 0
	h := &heard{on: func(report.KernelMessage) { told++ }}
	for i := range maxKept + 10 {
		m := report.KernelMessage{Text: fmt.Sprint(i), Phase: "forward"}
		h.add(m)
		h.add(m) // said twice in a row
	}
	all := h.report()
	if told != maxKept || len(all) != maxKept+1 || all[maxKept].Text != "and 20 more messages" {
		t.Errorf("%d told, %d kept, the last %q", told, len(all), all[len(all)-1].Text)
	}
}
