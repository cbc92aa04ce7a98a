package render

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/netns-verify/netns-verify/internal/report"
)

// JSON writes the report as one indented object and a newline.
func JSON(w io.Writer, r *report.Report, _ Options) error { return encode(w, r) }

// JSONAll writes several reports as an array of such objects.
func JSONAll(w io.Writer, rs []*report.Report, _ Options) error { return encode(w, rs) }

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	return nil
}
