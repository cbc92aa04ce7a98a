package report

import (
	"cmp"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Machine is names of the machine that a report came from which the report may hold
// somewhere in a text.
type Machine struct {
	Hostnames, Devices []string
}

// Redacted is a copy of the report without what identifies its machine: the kernel's
// command line, boot id, run id, paths and hosts' names, pids, and device names that
// not every machine has. Those are called dev1, dev2 and so on, the same everywhere.
// All strings of the report go through one function, so no field can be forgotten.
func (r *Report) Redacted(m Machine) *Report {
	x := &redactor{devices: map[string]string{}}
	x.learn(r, m)
	out := x.value(reflect.ValueOf(r)).Interface().(*Report)
	out.Run.Redacted = true
	out.Run.ID, out.Host.BootID, out.Host.Cmdline = "", "", ""
	out.Run.Arguments, _ = arguments(r.Run.Arguments)
	for i, a := range out.Run.Arguments {
		out.Run.Arguments[i] = x.text(a)
	}
	withoutTables(out.Unconfirmed)
	for i := range out.Leaks {
		l := &out.Leaks[i]
		withoutTables(l.Effects)
		if l.Reproducer != "" { // a name that is not plain is there in a form that text does not know
			l.Reproducer = l.Reproduction()
		}
	}
	out.Normalize()
	return out
}

type replacement struct{ old, new string }

// redactor replaces what identifies one machine.
type redactor struct {
	known   []replacement     // anywhere in a text
	hosts   []string          // as words
	devices map[string]string // as elements of keys
	names   []replacement     // of devices, as words
	inKeys  []replacement     // of devices, in keys within a text: also one that is called "1"

	see func(string) // if not nil, it is only shown all strings
}

// learn collects what identifies the machine.
func (x *redactor) learn(r *Report, m Machine) {
	_, hidden := arguments(r.Run.Arguments)
	for _, a := range hidden {
		if strings.Contains(a, "/") || len(a) >= longEnough {
			x.know(a, "<redacted>")
		}
		if dir := path.Dir(a); dir != "." && dir != "/" {
			x.know(dir+"/", "<redacted>/") // of files beside it
		}
	}
	x.know(r.Run.ID, "<run-id>")
	x.know(r.Host.BootID, "<boot-id>")
	for _, word := range append(strings.Fields(r.Host.Cmdline), r.Host.Cmdline) {
		if len(word) >= longEnough && strings.Contains(word, "=") {
			x.know(word, "<cmdline>")
		}
	}
	longestFirst(x.known, func(k replacement) string { return k.old })
	for _, h := range m.Hostnames {
		short, _, _ := strings.Cut(h, ".")
		for _, h := range []string{h, short} {
			if len(h) > 1 && h != "localhost" && h != "(none)" && !ownWords[h] {
				x.hosts = append(x.hosts, h)
			}
		}
	}
	longestFirst(x.hosts, func(h string) string { return h })

	found := map[string]bool{}
	for _, d := range m.Devices {
		found[d] = true
	}
	for _, d := range r.Host.Devices {
		found[d.Name] = true
	}
	patterns := words(r.Run.Arguments...)
	for _, a := range r.Answers {
		patterns[a.Pattern] = true
	}
	collect := redactor{see: func(s string) {
		if d, _ := sysctl.Key(s).Device(); d != "" && !(patterns[s] && strings.ContainsAny(d, "*?[{")) {
			found[d] = true
		}
	}}
	collect.value(reflect.ValueOf(r))
	var all []string
	for d := range found {
		if readable := escape.UTF8(d); readable != d {
			delete(found, readable) // the same one, as texts have it
		}
	}
	for d := range found {
		all = append(all, d)
	}
	slices.Sort(all)
	n := 0
	for _, d := range all {
		if d == "" || genericDevice.MatchString(d) {
			continue
		}
		for n++; found[fmt.Sprintf("dev%d", n)]; n++ {
		}
		alias := fmt.Sprintf("dev%d", n)
		x.devices[d], x.devices[escape.UTF8(d)] = alias, alias
		dotted := strings.ReplaceAll(d, ".", "/")
		for _, dir := range []string{"conf", "neigh"} {
			x.inKeys = append(x.inKeys, replacement{dir + "/" + d + "/", dir + "/" + alias + "/"},
				replacement{dir + "." + dotted + ".", dir + "." + alias + "."})
		}
		for _, spelling := range []string{d, escape.UTF8(d), escape.Line(d), dotted, strings.ReplaceAll(d, "'", `'\''`), Show(d).String()} {
			if len(spelling) > 1 && !onlyDigits.MatchString(spelling) && !ownWords[spelling] {
				x.names = append(x.names, replacement{spelling, alias})
			}
		}
	}
	longestFirst(x.names, func(n replacement) string { return n.old })
}

// longEnough is the length from which a string is not replaced by accident.
const longEnough = 8

func (x *redactor) know(s, as string) {
	if s != "" {
		x.known = append(x.known, replacement{s, as})
	}
}

func longestFirst[T any](all []T, of func(T) string) {
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(len(of(b)), len(of(a))) })
}

// text is the one function that all strings of a report go through.
func (x *redactor) text(s string) string {
	if x.see != nil {
		x.see(s)
		return s
	}
	if ownWords[s] || strings.Trim(s, "0123456789 \t-.") == "" { // as most values are
		return s
	}
	if strings.HasPrefix(s, "net/") && !strings.ContainsAny(s, " \t\n") {
		return x.key(s)
	}
	for _, k := range x.known {
		s = strings.ReplaceAll(s, k.old, k.new)
	}
	for _, h := range x.hosts {
		s = replaceWord(s, h, "<host>", "./")
	}
	for _, k := range x.inKeys {
		s = strings.ReplaceAll(s, k.old, k.new)
	}
	for _, n := range x.names {
		s = replaceWord(s, n.old, n.new, "")
	}
	s = partOfDevice.ReplaceAllString(s, "$1*")
	for _, p := range identifying {
		s = p.what.ReplaceAllString(s, p.as)
	}
	return s
}

// key replaces the devices of a key, and of a table or a glob that looks like one.
func (x *redactor) key(s string) string {
	parts := strings.Split(s, "/")
	for i := 2; i < len(parts); i++ {
		if i == 3 || len(parts) != 5 {
			parts[i] = cmp.Or(x.devices[parts[i]], parts[i])
		}
	}
	return partOfDevice.ReplaceAllString(strings.Join(parts, "/"), "$1*")
}

// replaceWord replaces a name where no letter, digit, _ or - is beside it, nor before
// it one of more.
func replaceWord(s, name, as, more string) string {
	var out strings.Builder
	part := func(b byte) bool {
		return b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
	}
	for from := 0; ; {
		i := strings.Index(s[from:], name)
		if i < 0 {
			out.WriteString(s[from:])
			return out.String()
		}
		i += from
		end := i + len(name)
		out.WriteString(s[from:i])
		if i > 0 && (part(s[i-1]) || strings.IndexByte(more, s[i-1]) >= 0) || end < len(s) && part(s[end]) {
			out.WriteString(s[i : i+1])
			from = i + 1
			continue
		}
		out.WriteString(as)
		from = end
	}
}

var (
	// genericDevice is the names that a kernel or a driver gives to the first few of a
	// kind, and ours.
	genericDevice = regexp.MustCompile(`^(all|default|lo|(eth|dummy|veth|sit|tunl|gre|gretap|erspan|ip_vti|ip6_vti|ip6tnl|ip6gre|ip6gretap|tun|tap|bond|team|br|ifb|vlan|vxlan|wg|wlan|docker|virbr|nlmon|vcan|vxcan|teql|tailscale)[0-9]{1,2}|ip_vti0|nv-[a-z0-9.]+)$`)
	// partOfDevice is a pattern that has a part of a device's name.
	partOfDevice = regexp.MustCompile(`((?:conf|neigh)[./])(?:[^./\s]*[\w-][^./\s]*[*?\[{][^./\s]*|[^./\s]*[*?\[{][^./\s]*[\w-][^./\s]*)`)
	onlyDigits   = regexp.MustCompile(`^[0-9.]+$`)

	// identifying is what identifies a machine by its form.
	identifying = []struct {
		what *regexp.Regexp
		as   string
	}{
		{regexp.MustCompile(`(?i)\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "<uuid>"},
		{regexp.MustCompile(`(?i)\b[0-9a-f]{2}(:[0-9a-f]{2}){5,}\b`), "<address>"}, // also netdev_rss_key, random for each boot
		{regexp.MustCompile(`[^\s()<>@"']+@[^\s()<>@"']+`), "<user>"},              // who built the kernel, and where
		{regexp.MustCompile(`(?i)\b(p?pids?|process(?:es)?)(\s*[:=]?\s*)[0-9]+(\s*\([^)]*\))?`), "$1$2<pid>"},
		{regexp.MustCompile(`/proc/[0-9]+`), "/proc/<pid>"},
		{regexp.MustCompile(`(^|[\s"'(=,:])/(?:home|root|tmp|var|run|mnt|media|srv|opt|usr|etc|boot|work|lib|data|[A-Z][a-z]*)(?:/[^\s"'(),:;]+)+`), "$1<path>"},
	}

	// ownWords is what reports say themselves: a device or a host may be called so.
	ownWords = words(ObserverHost, ObserverSibling, ObserverLater, KindChanged, KindAppeared, KindDisappeared, KindRead,
		WhatSysctl, WhatProc, WhatModule, ViaPath, ViaDescriptor, ViaRead, ViaExit, "root", WriterUserNS,
		LoadedBefore, LoadedByUs, LoadedByKernel, FromHost, FromCreator, "kvm", "tcg",
		"boot", "modules", "survey", "reads", "plan", "forward", "reversed", "values", "descriptors", "restore", "report",
		"net", "sys", "proc", "ipv4", "ipv6", "conf", "neigh", "core", "sysctl", "unshare", "run", "vm",
		string(VerdictLeak), string(VerdictUntested), string(VerdictIsolated), string(VerdictWriteOnly), string(VerdictReadOnly), string(VerdictHostOnly),
		string(ReasonRefused), string(ReasonNoCandidate), string(ReasonLatched), string(ReasonOneWay), string(ReasonUnobserved),
		string(ReasonRestless), string(ReasonExcluded), string(ReasonUnresolved), string(ReasonStopped),
		string(CreationShared), string(CreationInherited), string(CreationDefault), string(CreationDerived),
		string(StatusConfirmed), string(StatusOneWay), string(StatusUnresolved))
)

func words(all ...string) map[string]bool {
	set := map[string]bool{}
	for _, w := range all {
		set[w] = true
	}
	return set
}

// harmless is the flags whose values say nothing about the machine but device names.
var harmless = words("--format", "--include", "--exclude", "--writers", "--seed", "--batch-size", "--settle", "--deadline",
	"--observe", "--allow-untested", "--log-format", "--log-level", "--devices", "--accel", "--memory", "--cpus",
	"--timeout", "--reboots", "--jobs", "--wait")

// arguments is a command line without the values of flags that are not harmless, and
// those values.
func arguments(all []string) (shown, hidden []string) {
	shown = []string{}
	before := ""
	for i, a := range all {
		flag, value, both := strings.Cut(a, "=")
		switch {
		case !strings.HasPrefix(a, "-") && (i == 0 && ownWords[a] || harmless[before]):
		case !strings.HasPrefix(a, "-"):
			hidden, a = append(hidden, a), "<redacted>"
		case both && !harmless[flag]:
			hidden, a = append(hidden, value), flag+"=<redacted>"
		}
		shown, before = append(shown, a), flag
	}
	return shown, hidden
}

// withoutTables leaves out what tables of /proc hold: addresses, users.
func withoutTables(effects []Effect) {
	for i := range effects {
		if e := &effects[i]; e.What == WhatProc {
			e.Change = Change{}
		}
	}
}

// value is a copy in which all strings, and bytes, have gone through text.
func (x *redactor) value(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch {
	case v.Kind() == reflect.String:
		out.SetString(x.text(v.String()))
	case (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil():
	case v.Kind() == reflect.Pointer:
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(x.value(v.Elem()))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		out.SetBytes([]byte(x.text(string(v.Bytes()))))
	case v.Kind() == reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(x.value(v.Index(i)))
		}
	case v.Kind() == reflect.Map:
		out.Set(reflect.MakeMap(v.Type()))
		for k, e := range v.Seq2() {
			out.SetMapIndex(x.value(k), x.value(e))
		}
	case v.Kind() == reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(x.value(v.Field(i)))
			}
		}
	default:
		return v
	}
	return out
}
