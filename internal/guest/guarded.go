package guest

import (
	"path"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/report"
)

// The notes on keys that the kernel took from namespaces by itself.
const (
	noteGuarded = "the kernel found its value to be global and made it read-only in new namespaces"
	noteRefused = "the kernel found its value to be global and did not register its table in new namespaces"
	noteBeside  = "probably in the table that the kernel did not register in new namespaces, because of "
)

// noteGuards says at the keys what the kernel's messages say about them.
func noteGuards(r *report.Report) {
	guarded := map[string]bool{}
	for _, m := range r.KernelMessages {
		if k, ok := known.Guarded(m.Text); ok {
			guarded[string(k)] = true
		}
	}
	refused := map[string]string{} // by directory, the key that is to blame
	for i, k := range r.Keys {
		switch {
		case !guarded[k.Key]:
		case k.Verdict == report.VerdictReadOnly:
			r.Keys[i].Note = noteGuarded
		case k.Verdict == report.VerdictHostOnly:
			r.Keys[i].Note = noteRefused
			refused[path.Dir(k.Key)] = k.Key
		}
	}
	for i, k := range r.Keys {
		if blame := refused[path.Dir(k.Key)]; blame != "" && k.Verdict == report.VerdictHostOnly && k.Note == "" {
			r.Keys[i].Note = noteBeside + blame
		}
	}
}
