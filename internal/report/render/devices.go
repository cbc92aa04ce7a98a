package render

import (
	"cmp"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/report"
)

// devices is the summary's line on what fresh namespaces had beside lo; empty
// where nothing was asked for.
func devices(all []report.Device) string {
	var made, errs []string
	failed := map[string][]string{}
	for _, d := range all {
		switch {
		case d.Error != "":
			why := d.Error
			if i := strings.IndexAny(why, ":("); i > 0 {
				why = strings.TrimSpace(why[:i]) // which module it is says the JSON
			}
			if failed[why] == nil {
				errs = append(errs, why)
			}
			failed[why] = append(failed[why], d.Kind)
		case strings.HasPrefix(d.Name, "nv-"):
			made = append(made, d.Kind)
		default:
			made = append(made, escape.Name(d.Name))
		}
	}
	var parts []string
	if len(made) > 0 {
		parts = append(parts, strings.Join(made, ", ")+" made")
	}
	slices.SortStableFunc(errs, cmp.Compare)
	for _, why := range errs {
		parts = append(parts, strings.Join(failed[why], ", ")+": "+why)
	}
	return strings.Join(parts, "; ")
}
