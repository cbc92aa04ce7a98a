package record

import (
	"slices"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// Now is what the rule asks about the host beside its values.
type Now struct {
	// Quiet tells that nobody else writes sysctls.
	Quiet bool
	// Stale tells that the run ended so long ago that what nothing explains is
	// somebody's who came after it, for all that is known.
	Stale bool
	// Devices is the host's now.
	Devices []Device
	// Restless is further keys that move by themselves.
	Restless map[sysctl.Key]bool
}

// Change is a key of the host that does not have the value it is to have.
type Change struct {
	sysctl.Change
	// Explained tells that the run's writes explain it, OneWay that it is not expected to
	// go back before a reboot.
	Explained, OneWay bool
	// Why is why it is left alone.
	Why string
}

// Why a change is left alone.
const (
	whyCame       = "it came or went"
	whyNoValue    = "it had no value that could be written back"
	whyRestless   = "it moves by itself"
	whyReadOnly   = "it cannot be written on the host"
	whyDisruptive = "no write of the run explains it, and to write it may disrupt the network"
	whyDevice     = "no write of the run explains it, and the device is not the one that was there"
	// WhyLoud is that of a machine that is not known to be quiet.
	WhyLoud = "no write of the run explains it, and others are writing sysctls"
	// WhyStale is the one that a person's consent, or --all, overrules.
	WhyStale = "no write of the run explains it, and the run ended more than a minute ago"
)

// Judge is the rule: of the host's changes since it was found, which are put back, and
// which are left alone. What a change was before is looked up here.
func (r *Record) Judge(changes []sysctl.Change, now Now) (back, left []Change) {
	for _, sc := range changes {
		c := Change{Change: sc}
		c.Before = r.Expected(c.Key)
		if c.Before == c.After {
			continue
		}
		c.Explained, c.OneWay = r.explains(c.Key, c.After), r.latches(c.Key)
		if c.Why = r.leaves(c, now); c.Why == "" {
			back = append(back, c)
		} else {
			left = append(left, c)
		}
	}
	return back, left
}

// leaves says why a change is left alone; empty where it is put back.
func (r *Record) leaves(c Change, now Now) string {
	e, known := r.at(c.Key)
	switch {
	case !known || c.Before == sysctl.Absent || c.After == sysctl.Absent:
		return whyCame
	case !c.Before.OK():
		return whyNoValue
	case c.Explained:
		return ""
	case r.restless[c.Key], now.Restless[c.Key]:
		return whyRestless
	case !e.Writable():
		return whyReadOnly
	case perturb.Disruptive(c.Key):
		return whyDisruptive
	case !r.sameDevice(c.Key, now.Devices):
		return whyDevice
	case !now.Quiet:
		return WhyLoud
	case now.Stale:
		return WhyStale
	}
	return ""
}

// explains tells that the run's writes explain that a key has this.
func (r *Record) explains(k sysctl.Key, st sysctl.State) bool {
	confirmed, leaks := r.effects[k]
	switch {
	case r.byRun[k]:
		return true
	case r.restless[k]:
		return confirmed
	case leaks, r.oneWay[k]:
		return true
	case r.returned[k]: // a loan, about to be given back
		e, _ := r.at(k)
		return st == e.State || st.OK() && r.UnderWay(k, st.Value)
	}
	return st.OK() && r.UnderWay(k, st.Value)
}

func (r *Record) latches(k sysctl.Key) bool {
	_, known := known.OneWay(k)
	return known || r.oneWay[k]
}

func (r *Record) sameDevice(k sysctl.Key, now []Device) bool {
	name, _ := k.Device()
	index := func(all []Device) int {
		if i := slices.IndexFunc(all, func(d Device) bool { return d.Name == protocol.Bytes(name) }); i >= 0 {
			return all[i].Index
		}
		return 0
	}
	return name == "" || index(r.Header.Devices) == index(now)
}

// Loans is the keys that the run had put back although nothing explained what they had: they
// stay as they are.
func (r *Record) Loans() (loans []Change) {
	for _, e := range r.Host {
		if had, out := r.loans[e.Key]; out && had != r.Expected(e.Key) {
			loans = append(loans, Change{Change: sysctl.Change{Key: e.Key, Before: r.Expected(e.Key), After: had}})
		}
	}
	return loans
}

// Secret tells that a key's values must not be shown: not everybody could read it,
// or nobody knows.
func (r *Record) Secret(k sysctl.Key) bool {
	e, known := r.at(k)
	return !known || e.Secret()
}

// secretLength is the shortest secret value that is also looked for under other keys.
const secretLength = 8

// Hides tells that a value was a secret key's, or was to be: under another key's name
// it is not to be shown either.
func (r *Record) Hides(value string) bool {
	return len(value) >= secretLength && slices.ContainsFunc(r.Host, func(e sysctl.Entry) bool {
		return e.Secret() && (e.State.Value == value || r.UnderWay(e.Key, value) || r.theirs[e.Key].Value == value || r.loans[e.Key].Value == value)
	})
}

// normal is a form that what is written and what is then read have in common where
// they mean the same: kernels separate with tabs, and print numbers in decimal.
func normal(value string) string {
	fields := strings.Fields(value)
	for i, f := range fields {
		if n, err := strconv.ParseInt(f, 0, 64); err == nil {
			fields[i] = strconv.FormatInt(n, 10)
		}
	}
	return strings.Join(fields, " ")
}
