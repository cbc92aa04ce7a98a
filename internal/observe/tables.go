package observe

import (
	"strconv"
	"strings"
)

// table is a file below /proc/net that changes only when something is set up or
// taken down, at least in the columns that are kept.
type table struct {
	name string
	// columns are those kept, from 0; none means all.
	columns []int
}

// tables leave out counters, timers and sockets, which move without any write:
// what of these still moves shows itself before the first write, as elsewhere.
var tables = []table{
	{name: "anycast6"},
	{name: "arp_tables_names"},
	{name: "dev", columns: []int{0}}, // the rest is counters
	{name: "dev_mcast"},
	{name: "if_inet6"},
	{name: "ip6_tables_names"},
	{name: "ip_tables_names"},
	{name: "ip_vs"},
	{name: "ipv6_route", columns: []int{0, 1, 2, 3, 4, 5, 8, 9}}, // 6 and 7 count references and uses
	{name: "netfilter/nf_log"},
	{name: "protocols", columns: []int{0, 6}}, // name and module; sockets and memory in between
	{name: "ptype"},
	{name: "route"},
	{name: "vlan/config"},
}

// reduce keeps a table's columns of every line. Where an interface's name and
// the first counter run together ("lo:1234"), the colon ends the name.
func (t table) reduce(text string) string {
	if t.columns == nil {
		return strings.TrimSuffix(text, "\n")
	}
	var out []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(strings.Replace(line, ":", ": ", 1))
		var kept []string
		for _, c := range t.columns {
			if c < len(fields) {
				kept = append(kept, fields[c])
			}
		}
		out = append(out, strings.Join(kept, " "))
	}
	return strings.Join(out, "\n")
}

// modules reads the names in /proc/modules, which begin its lines (proc_modules(5)).
func modules(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, " "); ok && strconv.CanBackquote(name) {
			names = append(names, name)
		}
	}
	return names
}
