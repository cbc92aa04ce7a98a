package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// unexplained records an effect that follows no write. One that is seen a
// second time seems to move by itself.
func (r *run) unexplained(e trace.Effect, why string) {
	if r.cameWithModule(e) {
		return
	}
	if r.note(e, why) {
		r.seemsRestless(e)
	}
	r.doubt(e)
}

// unattributed records an effect of which any write so far may be the cause:
// none of them proves anything any more.
func (r *run) unattributed(e trace.Effect, why string) {
	r.note(e, why)
	r.closed = 0
	clear(r.proven)
}

// note puts an effect into the report, once a place; it tells whether it was there.
func (r *run) note(e trace.Effect, why string) (again bool) {
	again = r.foreign.Note(finding.Foreign{Effect: e, Phase: string(r.phase), Why: why, Like: r.looksLike(e)})
	if !again {
		r.log.Debug().Str("observer", e.Observer).Str("key", e.Key.Text()).Str("why", why).Msg("unconfirmed")
	}
	return again
}

// looksLike is a write of an effect's value to the very key that has it.
func (r *run) looksLike(e trace.Effect) *trace.Write {
	if !e.After.OK() {
		return nil
	}
	made := [][]trace.Write{r.throughs}
	for _, w := range r.writings {
		made = append(made, w.writes)
	}
	for _, ws := range made {
		for i := len(ws) - 1; i >= 0; i-- {
			if w := &ws[i]; w.Key == e.Key && (w.Value == e.After.Value || w.After == e.After && w.Perturbed()) {
				like := *w
				return &like
			}
		}
	}
	return nil
}

// unconfirmed is the effects for which no cause was found in the end.
func (r *run) unconfirmed() []finding.Foreign {
	return slices.DeleteFunc(slices.Clone(r.foreign), func(f finding.Foreign) bool { return r.leaks.ConfirmedAt(f.Place) })
}

// unconfirmedKeys is the keys that have them.
func (r *run) unconfirmedKeys() map[sysctl.Key]bool {
	keys := map[sysctl.Key]bool{}
	for _, f := range r.unconfirmed() {
		keys[f.Key] = true
	}
	return keys
}

func (r *run) reportUnconfirmed() (out []report.Effect) {
	for _, f := range r.unconfirmed() {
		e := r.secrets.Effect(f.Effect)
		e.Phase, e.Why = f.Phase, f.Why
		if f.Like != nil {
			e.LooksLike = &r.secrets.Causes([]trace.Write{*f.Like}, []trace.Writer{r.writer})[0]
		}
		out = append(out, e)
	}
	return out
}
