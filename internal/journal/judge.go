package journal

import (
	"slices"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Judgement says what is to become of the host's changes.
type Judgement struct {
	// Ours is what a confirmed cause explains, or has a value the writing of which, to
	// that very key, was under way, and which nobody else was seen to set: it is put
	// back, if it can be.
	Ours []sysctl.Change
	// Open is what else may be ours: only a replay can tell.
	Open []sysctl.Change
	// Left is what is left alone: keys that came or went, that move by themselves, or
	// that nobody could put back, and that nothing explains.
	Left []sysctl.Change
}

// Judge sorts changes of the host since it was found.
func (j *Journal) Judge(changes []sysctl.Change) (judged Judgement) {
	for _, c := range changes {
		switch ours := j.UnderWay(c.Key, c.After) && !j.SetByOthers(c.Key, c.After); {
		case c.Before == sysctl.Absent || c.After == sysctl.Absent:
			judged.Left = append(judged.Left, c)
		case j.restless[c.Key] && j.confirmed[c.Key] && ours, !j.restless[c.Key] && (j.confirmed[c.Key] || ours):
			judged.Ours = append(judged.Ours, c)
		case j.restless[c.Key] || !j.restorable(c):
			judged.Left = append(judged.Left, c)
		default:
			judged.Open = append(judged.Open, c)
		}
	}
	return judged
}

// SetByOthers tells that others were once seen to set a key to this.
func (j *Journal) SetByOthers(k sysctl.Key, st sysctl.State) bool {
	return slices.Contains(j.theirs[k], st)
}

// Restless tells that a key was seen to move by itself.
func (j *Journal) Restless(k sysctl.Key) bool { return j.restless[k] }

// restorable tells that the key has a value to go back to.
func (j *Journal) restorable(c sysctl.Change) bool {
	e, known := j.at(c.Key)
	return known && e.Writable() && c.Before.OK()
}

func (j *Journal) at(k sysctl.Key) (sysctl.Entry, bool) {
	i, ok := slices.BinarySearchFunc(j.Host, k, func(e sysctl.Entry, k sysctl.Key) int { return strings.Compare(string(e.Key), string(k)) })
	if !ok {
		return sysctl.Entry{}, false
	}
	return j.Host[i], true
}

// Secret tells that a key's values must not be shown: not everybody could read it,
// or nobody knows.
func (j *Journal) Secret(k sysctl.Key) bool {
	e, known := j.at(k)
	return !known || e.Secret()
}

// secretLength is the shortest secret value that is also looked for under other keys.
const secretLength = 8

// Hides tells that a value was a secret key's, or was to be: under another key's name
// it is not to be shown either.
func (j *Journal) Hides(value string) bool {
	return len(value) >= secretLength && slices.ContainsFunc(j.Host, func(e sysctl.Entry) bool {
		if !e.Secret() {
			return false
		}
		_, announced := j.announced[e.Key][normal(value)]
		has := func(st sysctl.State) bool { return st.Value == value }
		return announced || has(e.State) || has(j.overwritten[e.Key]) || slices.ContainsFunc(j.theirs[e.Key], has)
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
