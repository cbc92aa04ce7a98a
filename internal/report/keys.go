package report

import (
	"unicode/utf8"

	"github.com/netns-verify/netns-verify/internal/escape"
)

// ShowKey splits up a key for JSON: the key as it is, or, where the bytes are not
// UTF-8, a readable form that has them escaped, with the bytes beside it.
func ShowKey(key string) (text string, b64 []byte) {
	if utf8.ValidString(key) {
		return key, nil
	}
	return escape.UTF8(key), []byte(key)
}

// Whole is the key itself, which ShowKey may have split up.
func Whole(key string, b64 []byte) string {
	if len(b64) > 0 {
		return string(b64)
	}
	return key
}

// showKeys splits up all keys. Names of other things only get the readable form.
func (r *Report) showKeys() {
	for i := range r.Run.NotRestored {
		show(&r.Run.NotRestored[i].Key, &r.Run.NotRestored[i].KeyB64)
	}
	for i := range r.Unconfirmed {
		show(&r.Unconfirmed[i].Key, &r.Unconfirmed[i].KeyB64)
	}
	for i := range r.Leaks {
		r.Leaks[i].ShowKeys()
	}
	for i := range r.Keys {
		show(&r.Keys[i].Key, &r.Keys[i].KeyB64)
		for _, from := range r.Keys[i].CreationFrom {
			readable(from.Keys)
		}
		r.Keys[i].CreationUntested = escape.UTF8(r.Keys[i].CreationUntested)
	}
	for i := range r.Run.CreationNotMoved {
		r.Run.CreationNotMoved[i].Key = escape.UTF8(r.Run.CreationNotMoved[i].Key)
	}
	for i := range r.Answers {
		show(&r.Answers[i].Key, &r.Answers[i].KeyB64)
		r.Answers[i].Why = escape.UTF8(r.Answers[i].Why)
	}
	for i := range r.Plan {
		show(&r.Plan[i].Key, &r.Plan[i].KeyB64)
	}
	for i := range r.Host.Devices {
		r.Host.Devices[i].Name = escape.UTF8(r.Host.Devices[i].Name)
	}
	readable(r.Run.Arguments)
	readable(r.Run.Writing)
	readable(r.Warnings)
}

// ShowKeys splits up the leak's keys.
func (l *Leak) ShowKeys() {
	for _, causes := range [][]Cause{l.Cause, l.Evidence.Candidates} {
		for i := range causes {
			show(&causes[i].Key, &causes[i].KeyB64)
		}
	}
	for i := range l.Effects {
		show(&l.Effects[i].Key, &l.Effects[i].KeyB64)
	}
}

// show is ShowKey in place, of what it may have split up already.
func show(key *string, b64 *[]byte) { *key, *b64 = ShowKey(Whole(*key, *b64)) }

func readable(list []string) {
	for i, s := range list {
		list[i] = escape.UTF8(s)
	}
}
